#include "hostile/guard.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <fcntl.h>
#include <sys/time.h>
#include <unistd.h>
#include <utility>

#include "halftone/core/error.hpp"

// The interface of the sanitizers' allocator, whose header GCC does not ship. Source: compiler-rt,
// sanitizer/allocator_interface.h.
extern "C" {
int __sanitizer_install_malloc_and_free_hooks(void (*allocated)(const volatile void*, std::size_t),
                                              void (*freed)(const volatile void*));
std::size_t __sanitizer_get_allocated_size(const volatile void* memory);
}

// Read by the sanitizers before main. LibTorch needs the first two; an abort reaches the handler below.
extern "C" const char* __asan_default_options() {
  return "detect_container_overflow=0:detect_leaks=0:abort_on_error=1:max_allocation_size_mb=1024:"
         "quarantine_size_mb=16:detect_stack_use_after_return=0";
}
extern "C" const char* __ubsan_default_options() { return "abort_on_error=1:print_stacktrace=1"; }

namespace hostile {

namespace {

constexpr int kMostSeconds = 5;
constexpr std::size_t kMostPerByte = 128;

std::atomic<std::int64_t> live_bytes{0};
std::atomic<std::int64_t> peak_bytes{0};

// Memory that was allocated before counting began and is freed now makes this too small by a little.
void count_allocation(const volatile void* memory, std::size_t size) {
  if (memory == nullptr) return;
  const std::int64_t now = live_bytes += static_cast<std::int64_t>(size);
  if (now > peak_bytes) peak_bytes = now;
}

void count_free(const volatile void* memory) {
  if (memory != nullptr) live_bytes -= static_cast<std::int64_t>(__sanitizer_get_allocated_size(memory));
}

const std::string* current_file = nullptr;
const std::string* current_line = nullptr;

constexpr const char* kFailedFile = "hostile_failed.bin";

void write_bytes(int file, const std::string& bytes) {
  if (::write(file, bytes.data(), bytes.size()) < 0) std::perror("hostile_tests");
}

/// Only calls that a signal handler may make.
void tell(int signal) {
  if (current_line == nullptr) return;
  const std::string& line = *std::exchange(current_line, nullptr);
  write_bytes(2, line);
  static const std::string took_long = ": took more than five seconds\n";
  static const std::string aborted = ": aborted, see above\n";
  write_bytes(2, signal == SIGPROF ? took_long : aborted);
  const int file = ::open(kFailedFile, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  write_bytes(file, *current_file);
  ::close(file);
  ::_exit(1);
}

void set_limit(int seconds) {
  const itimerval limit{{0, 0}, {seconds, 0}};
  ::setitimer(ITIMER_PROF, &limit, nullptr);
}

}  // namespace

void install_guard() {
  __sanitizer_install_malloc_and_free_hooks(count_allocation, count_free);
  std::signal(SIGABRT, tell);
  std::signal(SIGPROF, tell);
}

Outcome read_guarded(void (*read)(Bytes), const std::string& file, const std::string& line, std::size_t memory) {
  Outcome outcome;
  current_file = &file;
  current_line = &line;
  live_bytes = 0;
  peak_bytes = 0;
  const auto start = std::chrono::steady_clock::now();
  set_limit(kMostSeconds);
  try {
    read(std::as_bytes(std::span(file)));
    outcome.is_read = true;
  } catch (const halftone::Error& error) {
    outcome.refusal = error.what();
    if (error.code() == halftone::Errc::Internal) outcome.failure = error.what();
  } catch (const std::exception& error) {
    outcome.failure = error.what();
  }
  set_limit(0);
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  outcome.memory = static_cast<std::size_t>(std::max<std::int64_t>(peak_bytes, 0));
  current_line = nullptr;
  if (outcome.failure.empty() && outcome.memory > memory + kMostPerByte * file.size())
    outcome.failure = halftone::message("took ", outcome.memory, " bytes of memory for a file of ", file.size());
  return outcome;
}

std::string write_failed(const std::string& file, const std::string& line) {
  std::string name = "hostile_" + line + ".bin";
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == ' ' || c == '/' || c == ','; }, '_');
  std::FILE* const out = std::fopen(name.c_str(), "wb");
  if (out == nullptr) return "nowhere";
  std::fwrite(file.data(), 1, file.size(), out);
  std::fclose(out);
  return name;
}

}  // namespace hostile
