#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace halftone::cli {

/// How one of `size` ranks ended.
struct RankEnd {
  int rank = 0;
  int status = 0;  ///< as of waitpid

  /// By itself, with what commands say: 0 or 1.
  [[nodiscard]] bool is_good() const;
  /// "rank 2 of 4 was killed by signal 9 (Killed)"
  [[nodiscard]] std::string text(int size) const;
};

/// Processes of this program that are the ranks of one job on this host. Rank 0 has this process's standard output and
/// error; the others' output is dropped, their errors are kept. They end where this process does.
class RankProcesses {
 public:
  /// Throws `Io` where the system starts none.
  RankProcesses(const std::vector<std::string>& words, int size);
  /// Ends those that still run.
  ~RankProcesses();
  RankProcesses(RankProcesses&&) = delete;
  RankProcesses& operator=(RankProcesses&&) = delete;

  /// Those that ended since the last call.
  std::vector<RankEnd> ended();
  [[nodiscard]] bool any_runs() const;
  void signal(int number) const;
  /// The exit code of rank 0, after it ended by itself.
  [[nodiscard]] int code_of_first() const;
  /// What rank `rank`, not 0, wrote to standard error.
  [[nodiscard]] std::string errors_of(int rank) const;

 private:
  struct Process {
    pid_t id = 0;
    int errors = -1;  ///< a file without a name
    std::optional<int> status;
  };
  std::vector<Process> processes_;
};

}  // namespace halftone::cli
