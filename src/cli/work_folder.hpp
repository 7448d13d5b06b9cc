#pragma once

#include <filesystem>

namespace halftone::cli {

/// The folder of a run, made where it is not there, with the journal of its finished work. What holds no work goes when
/// this does: an empty journal, and the folders that were made and are still empty.
class WorkFolder {
 public:
  /// `fresh` takes away what an earlier run left in the journal. Throws `Io` where the folder cannot be written, and
  /// with `fresh` where another process works in it.
  WorkFolder(std::filesystem::path folder, bool fresh);
  ~WorkFolder();
  WorkFolder(WorkFolder&&) = delete;
  WorkFolder& operator=(WorkFolder&&) = delete;

  static constexpr const char* kJournal = "journal";
  [[nodiscard]] const std::filesystem::path& path() const { return folder_; }
  /// Whether there is finished work to go on from. False while another opens the journal.
  [[nodiscard]] bool holds_work() const;
  [[nodiscard]] std::filesystem::path journal() const { return folder_ / kJournal; }

 private:
  std::filesystem::path folder_;
  int made_ = 0;  ///< folders, the innermost last
};

}  // namespace halftone::cli
