// Damaged files of every format: each must be read or refused, within bounds of time and memory.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>

#include "halftone/core/error.hpp"
#include "hostile/guard.hpp"
#include "hostile/mutations.hpp"

namespace hostile {

namespace {

/// The figures of one format.
struct Tally {
  int files = 0;
  int read = 0;
  int failed = 0;
  double slowest = 0;      ///< seconds
  std::size_t memory = 0;  ///< bytes
};

/// What to run; all where nothing is given.
struct Choice {
  std::string format;
  std::string seed;
  long number = -1;  ///< of a mutation; -1: all

  [[nodiscard]] bool has(const Format& one) const { return format.empty() || format == one.name; }
  [[nodiscard]] bool has(const Seed& one) const { return seed.empty() || seed == one.name; }
  [[nodiscard]] bool has(std::size_t mutation) const { return number < 0 || number == static_cast<long>(mutation); }
};

Outcome read_file(const Format& format, const std::string& file, const std::string& line, Tally& tally) {
  const Outcome outcome = read_guarded(format.read, file, line, format.memory);
  ++tally.files;
  tally.read += outcome.is_read ? 1 : 0;
  tally.slowest = std::max(tally.slowest, outcome.seconds);
  tally.memory = std::max(tally.memory, outcome.memory);
  if (!outcome.failure.empty()) {
    ++tally.failed;
    std::fprintf(stderr, "%s: %s (the file is in %s)\n", line.c_str(), outcome.failure.c_str(),
                 write_failed(file, line).c_str());
  }
  return outcome;
}

void read_good(const Format& format, const Seed& seed, Tally& tally) {
  const std::string line = halftone::message(format.name, " '", seed.name, "'");
  const Outcome outcome = read_file(format, seed.file(), line, tally);
  if (outcome.is_read) return;
  ++tally.failed;
  std::fprintf(stderr, "%s: a good file is refused: %s\n", line.c_str(), outcome.refusal.c_str());
}

void read_mutations(const Format& format, const Seed& seed, const Choice& choice, Tally& tally) {
  const auto mutations = mutations_of(seed);
  for (std::size_t i = 0; i < mutations.size(); ++i)
    if (choice.has(i))
      read_file(format, mutated(seed, mutations[i], i), halftone::message(format.name, " '", seed.name, "' ", i),
                tally);
}

Tally try_format(const Format& format, const Choice& choice) {
  Tally tally;
  const Seeds seeds = format.seeds();
  for (const Seed& seed : seeds.good) {
    if (!choice.has(seed)) continue;
    if (choice.number < 0) read_good(format, seed, tally);
    read_mutations(format, seed, choice, tally);
  }
  for (const Seed& seed : seeds.bad) {
    if (!choice.has(seed)) continue;
    const std::string line = halftone::message(format.name, " '", seed.name, "'");
    const Outcome outcome = read_file(format, seed.file(), line, tally);
    if (!choice.seed.empty())
      std::printf("%s: %s, %.3f s, %zu bytes for %zu\n", line.c_str(),
                  outcome.is_read ? "is read" : outcome.refusal.c_str(), outcome.seconds, outcome.memory,
                  seed.file().size());
  }
  return tally;
}

/// Every format with at least 200 files, and nothing that failed.
bool try_all(const Choice& choice) {
  constexpr int kLeastFiles = 200;
  bool is_good = true;
  int files = 0;
  std::printf("%-15s %7s %7s %7s %12s %12s\n", "format", "files", "read", "failed", "slowest, ms", "memory, MB");
  for (const Format& format : kFormats) {
    if (!choice.has(format)) continue;
    const Tally tally = try_format(format, choice);
    std::printf("%-15s %7d %7d %7d %12.1f %12.1f\n", format.name, tally.files, tally.read, tally.failed,
                1e3 * tally.slowest, 1e-6 * static_cast<double>(tally.memory));
    std::fflush(stdout);
    is_good = is_good && tally.failed == 0 && (!choice.seed.empty() || tally.files >= kLeastFiles);
    files += tally.files;
  }
  return is_good && files > 0;
}

/// The seeds as files, for a fuzzer to begin with: FOLDER/format/number.
void write_seeds(const std::filesystem::path& folder) {
  for (const Format& format : kFormats) {
    std::filesystem::create_directories(folder / format.name);
    const Seeds seeds = format.seeds();
    for (std::size_t i = 0; i < seeds.good.size(); ++i) {
      const std::string file = seeds.good[i].file();
      std::ofstream(folder / format.name / std::to_string(i), std::ios::binary)
          .write(file.data(), static_cast<std::streamsize>(file.size()));
    }
  }
}

}  // namespace

}  // namespace hostile

/// hostile_tests [FORMAT [SEED [MUTATION]]], or hostile_tests --seeds FOLDER
int main(int count, char** arguments) {
  const auto argument = [&](int i) { return std::string(i < count ? arguments[i] : ""); };
  if (argument(1) == "--seeds") {
    hostile::write_seeds(argument(2));
    return 0;
  }
  hostile::install_guard();
  const hostile::Choice choice{argument(1), argument(2), count > 3 ? std::atol(arguments[3]) : -1};
  return hostile::try_all(choice) ? 0 : 1;
}
