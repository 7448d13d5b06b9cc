#include "cli/progress_bar.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ostream>
#include <utility>

#include "halftone/core/error.hpp"
#include "report/text.hpp"

namespace halftone::cli {
namespace {

constexpr double kSilence = 2;         // seconds without a word
constexpr double kRedraw = 0.1;        // on a terminal
constexpr double kBetweenLines = 10;   // elsewhere
constexpr double kBeforeEstimate = 1;  // seconds of a pass before its end can be guessed
constexpr std::int64_t kBarWidth = 24;

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

ProgressBar::ProgressBar(std::ostream& out, Options options) : out_(out), options_(std::move(options)) {
  if (!options_.now) options_.now = steady_seconds;
  start_ = options_.now();
  next_ = start_ + kSilence;
}

ProgressBar::~ProgressBar() { clear(); }

void ProgressBar::clear() {
  if (std::exchange(drawn_, false)) out_ << "\r\x1b[K" << std::flush;
}

void ProgressBar::update(const Progress& progress) {
  const double now = options_.now();
  std::string pass = message(progress.stage, '\n', progress.detail);
  if (pass != pass_ || progress.done < pass_done_) {
    pass_ = std::move(pass);
    pass_start_ = now;
  }
  pass_done_ = progress.done;
  if (now < next_) return;
  next_ = now + (options_.terminal_width ? kRedraw : kBetweenLines);
  if (options_.terminal_width) {
    out_ << '\r' << line(progress, now) << "\x1b[K" << std::flush;
    drawn_ = true;
  } else {
    out_ << line(progress, now) << std::endl;
  }
}

std::string ProgressBar::line(const Progress& progress, double now) const {
  const std::int64_t total = std::max<std::int64_t>(progress.total, 1);
  const std::int64_t done = std::clamp<std::int64_t>(progress.done, 0, total);
  std::string text(progress.stage);
  text.resize(std::max<std::size_t>(text.size(), 9), ' ');
  if (options_.terminal_width) {
    const auto marks = static_cast<std::size_t>(done * kBarWidth / total);
    text += " [" + std::string(marks, '#') + std::string(kBarWidth - marks, '.') + ']';
  }
  const std::string percent = std::to_string(done * 100 / total);
  text += message(' ', std::string(3 - std::min<std::size_t>(3, percent.size()), ' '), percent, " %");
  const double elapsed = now - pass_start_;
  const bool has_begun = done > 0 && done * 100 >= total;  // the very first samples wait for a network to be compiled
  if (has_begun && done < total && elapsed >= kBeforeEstimate)
    text += message(", ", internal::duration(elapsed * static_cast<double>(total - done) / static_cast<double>(done)),
                    " left");
  if (!progress.detail.empty()) text += message("  ", progress.detail);
  // The last column stays free: writing there would start a new line on some terminals.
  if (options_.terminal_width && text.size() >= *options_.terminal_width)
    text.resize(std::max<std::size_t>(*options_.terminal_width, 1) - 1);
  return text;
}

}  // namespace halftone::cli
