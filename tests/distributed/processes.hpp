#pragma once

#include <array>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <optional>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

/// A process of a job: started with its standard output in a pipe, ended and waited for when this goes.
class Process {
 public:
  explicit Process(std::vector<std::string> words) {
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) ::abort();
    child_ = ::fork();
    if (child_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      const int null = ::open("/dev/null", O_WRONLY);  // what LibTorch says of lost connections
      ::dup2(null, STDERR_FILENO);
      ::execvp(pointers[0], pointers.data());
      ::_exit(127);
    }
    ::close(ends[1]);
    output_ = ends[0];
  }
  ~Process() {
    if (!status_) {
      ::kill(child_, SIGKILL);
      ::waitpid(child_, nullptr, 0);
    }
    ::close(output_);
  }
  Process(Process&&) = delete;
  Process& operator=(Process&&) = delete;

  [[nodiscard]] pid_t id() const { return child_; }

  /// Its status (see waitpid) once it ended, nothing where it did not within `time`.
  std::optional<int> finish(std::chrono::milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (!status_) {
      int status = 0;
      if (::waitpid(child_, &status, WNOHANG) == child_) status_ = status;
      if (status_ || std::chrono::steady_clock::now() > end) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return status_;
  }
  /// Its exit code; -1 where a signal ended it, or nothing did.
  int exit_code(std::chrono::milliseconds time) {
    const auto status = finish(time);
    return status && WIFEXITED(*status) ? WEXITSTATUS(*status) : -1;
  }
  /// All it wrote, once it ended.
  std::string output() {
    std::string text;
    std::array<char, 4096> buffer{};
    for (ssize_t count = 0; (count = ::read(output_, buffer.data(), buffer.size())) > 0;)
      text.append(buffer.data(), static_cast<std::size_t>(count));
    return text;
  }

 private:
  pid_t child_ = 0;
  int output_ = 0;
  std::optional<int> status_;
};
