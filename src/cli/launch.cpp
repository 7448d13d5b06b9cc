#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <ostream>
#include <string_view>
#include <sys/wait.h>
#include <thread>
#include <utility>

#include "cli/command.hpp"
#include "cli/rank_processes.hpp"
#include "halftone/core/error.hpp"

namespace halftone::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kUsageError = 2;
constexpr int kLostRank = 3;
/// The others find out by themselves, say which rank they miss, and keep what they have.
constexpr std::chrono::seconds kGrace{5};

/// Set by the signal handler: the only thing a handler may touch.
volatile std::sig_atomic_t signal_to_pass = 0;

/// Takes SIGINT and SIGTERM while it lives.
class PassedSignals {
 public:
  PassedSignals() {
    signal_to_pass = 0;
    struct sigaction action {};
    action.sa_handler = [](int number) { signal_to_pass = number; };
    for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &action, &before_[i]);
  }
  ~PassedSignals() {
    for (std::size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
  }
  PassedSignals(PassedSignals&&) = delete;
  PassedSignals& operator=(PassedSignals&&) = delete;

  /// The signal that came since the last call.
  static std::optional<int> next() {
    const int number = signal_to_pass;
    signal_to_pass = 0;
    return number == 0 ? std::nullopt : std::optional(number);
  }

 private:
  static constexpr std::array kSignals{SIGINT, SIGTERM};
  std::array<struct sigaction, 2> before_{};
};

struct Launch {
  std::int64_t ranks = 2;
  std::int64_t max_restarts = 0;
  std::vector<std::string> words;
};

struct JobEnd {
  int code = 0;
  bool stopped = false;  ///< somebody asked for it
};

/// Runs the job once.
JobEnd run_job(const Launch& launch, std::ostream& err) {
  const int size = static_cast<int>(launch.ranks);
  RankProcesses ranks(launch.words, size);
  std::optional<RankEnd> failed;
  Clock::time_point failed_at;
  JobEnd end;
  bool usage = false;
  while (ranks.any_runs()) {
    if (const auto number = PassedSignals::next()) {
      end.stopped = true;
      ranks.signal(*number);
    }
    for (const RankEnd& rank : ranks.ended()) {
      usage = usage || (WIFEXITED(rank.status) && WEXITSTATUS(rank.status) == kUsageError);
      if (rank.is_good() || failed) continue;
      failed = rank;
      failed_at = Clock::now();
    }
    if (failed && Clock::now() > failed_at + kGrace) ranks.signal(SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (!failed) {
    end.code = ranks.code_of_first();
    return end;
  }
  if (failed->rank > 0) err << ranks.errors_of(failed->rank);
  err << "halftone launch: " << failed->text(size) << ", the first to fail" << std::endl;
  end.code = usage ? kUsageError : kLostRank;
  return end;
}

int run_launch(const Context& context, const Launch& launch) {
  constexpr std::int64_t kRanksOfCore = 16;  // each loads LibTorch
  if (const std::int64_t most = kRanksOfCore * cores(); launch.ranks > most)
    throw Error(Errc::InvalidArgument, message("--ranks is ", launch.ranks, ": at most ", most,
                                               " ranks fit on this host, ", kRanksOfCore, " for each core"));
  constexpr std::array<std::string_view, 3> kShared{"quantize", "sense", "evaluate"};
  if (const std::string& command = launch.words.front(); std::ranges::find(kShared, command) == kShared.end())
    throw Error(Errc::InvalidArgument,
                message("launch: \"", command,
                        "\" is not shared by ranks, each would do all of it: quantize, sense and ", "evaluate are"));
  const PassedSignals signals;
  for (std::int64_t restarts = 0;; ++restarts) {
    const JobEnd end = run_job(launch, context.err);
    if (end.code != kLostRank || end.stopped || restarts == launch.max_restarts) return end.code;
    context.err << "halftone launch: restart " << restarts + 1 << " of " << launch.max_restarts << std::endl;
  }
}

}  // namespace

void add_launch(CLI::App& app, const Context& context, Action& action) {
  auto launch = std::make_shared<Launch>();
  CLI::App& command =
      *app.add_subcommand("launch", "run a command as several processes of this host that share its work");
  add_count(command, "-n,--ranks", launch->ranks, 1, "processes, at most 16 for each core");
  add_count(command, "--max-restarts", launch->max_restarts, 0,
            "start all again where one is lost, at most so often: work that\nwas kept is not done again");
  command.add_option("COMMAND", launch->words, "quantize, sense or evaluate with its options, after --")
      ->required()
      ->type_name("");
  command.footer(
      "Example:\n"
      "  halftone launch -n 4 -- quantize resnet50:weights.pth --calibrate images:train \\\n"
      "    --validate images:val --threads 1 --out result\n"
      "\n"
      "What rank 0 writes is shown. Where a rank fails, the others are ended, and which and how is said:\n"
      "exit code 3, or 2 where a rank refused its options; else the exit code of rank 0. On several hosts\n"
      "take mpirun, or set RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT for each process yourself.");
  command.callback(
      [launch, &context, &action] { action = [launch, &context] { return run_launch(context, *launch); }; });
}

}  // namespace halftone::cli
