#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <string_view>

namespace halftone {

/// How far a stage has come.
struct Progress {
  std::string_view stage;  ///< e.g. "calibrate"
  std::int64_t done = 0;
  std::int64_t total = 0;
  std::string_view detail{};  ///< e.g. "plan 3: 12 sites at 8 bits"
};

/// The caller's view of, and hold on, long work. All functions may be empty; they are called from the thread
/// that started the work, at least once per batch of samples.
struct Monitor {
  std::function<void(const Progress&)> on_progress;
  std::function<bool()> should_stop;                   ///< once true, work ends with the best result so far
  std::function<void(std::string_view)> on_message{};  ///< a sentence for people, now and then

  void report(const Progress& progress) const {
    if (on_progress) on_progress(progress);
  }
  void tell(std::string_view sentence) const {
    if (on_message) on_message(sentence);
  }
  [[nodiscard]] bool stopped() const { return should_stop && should_stop(); }
};

/// Thrown by a stage that was asked to stop and has nothing partial to return; `quantize` turns it into a status.
class Stopped : public std::exception {
 public:
  [[nodiscard]] const char* what() const noexcept override { return "stopped on request"; }
};

}  // namespace halftone
