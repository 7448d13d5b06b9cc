#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>

#include "halftone/core/monitor.hpp"

namespace halftone::cli {

/// Tells a person how far long work has come and how long its present pass will take. Says nothing in the first two
/// seconds. On a terminal, one line that is rewritten in place and goes when this does; elsewhere a line now and then.
class ProgressBar {
 public:
  struct Options {
    std::optional<std::size_t> terminal_width{};  ///< in columns; nothing where `out` is no terminal
    std::function<double()> now{};                ///< seconds from any start; the steady clock where empty
  };

  ProgressBar(std::ostream& out, Options options);
  ~ProgressBar();
  ProgressBar(ProgressBar&&) = delete;
  ProgressBar& operator=(ProgressBar&&) = delete;

  void update(const Progress& progress);
  /// Takes the line off the terminal, so that something else can be written.
  void clear();

 private:
  [[nodiscard]] std::string line(const Progress& progress, double now) const;

  std::ostream& out_;
  Options options_;
  double start_;
  double next_;  ///< when to write again
  bool drawn_ = false;
  std::string pass_;  ///< stage and detail of the pass under way
  double pass_start_ = 0;
  std::int64_t pass_done_ = 0;
};

}  // namespace halftone::cli
