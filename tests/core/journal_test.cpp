#include "halftone/core/journal.hpp"

#include <csignal>
#include <fstream>
#include <optional>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "failure.hpp"
#include "halftone/core/file.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

/// Bytes of every value, zeros and line ends among them.
std::string sample(std::size_t size, unsigned seed) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 7 + seed);
  return bytes;
}

/// A journal of three records.
std::filesystem::path example(const TempDir& dir) {
  Journal journal(dir / "j");
  journal.append("one", sample(10, 1));
  journal.append("two", "");
  journal.append("three", sample(5000, 3));
  return dir / "j";
}

}  // namespace

TEST_CASE("a journal gives back what was appended, also when opened again") {
  const TempDir dir;
  const auto path = example(dir);
  for (int times = 0; times < 2; ++times) {
    const Journal journal(path);
    CHECK(journal.records() == 3);
    CHECK(journal.find("one") == sample(10, 1));
    CHECK(journal.find("two") == "");
    CHECK(journal.find("three") == sample(5000, 3));
    CHECK_FALSE(journal.find("four"));
  }
}

TEST_CASE("of two records with one key the last counts") {
  const TempDir dir;
  {
    Journal journal(dir / "j");
    journal.append("key", "first");
    journal.append("key", "second");
    CHECK(journal.find("key") == "second");
  }
  CHECK(Journal(dir / "j").find("key") == "second");
}

TEST_CASE("wherever a journal is cut, whole records stay and new ones can follow") {
  const TempDir dir;
  const std::string whole = read_text(example(dir));
  std::size_t kept = 0;
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    if (size > 250 && size + 9 < whole.size() && size % 97 != 0) continue;
    CAPTURE(size);
    const auto path = dir.write("cut", whole.substr(0, size));
    {
      Journal journal(path);
      REQUIRE(journal.records() >= kept);
      kept = journal.records();
      REQUIRE(journal.find("three").has_value() == (size == whole.size()));
      journal.append("new", "more");
    }
    const Journal again(path);
    REQUIRE(again.records() == kept + 1);
    REQUIRE(again.find("new") == "more");
    if (kept > 0) REQUIRE(again.find("one") == sample(10, 1));
  }
  CHECK(kept == 3);
}

TEST_CASE("a record that was changed is dropped, with all behind it") {
  const TempDir dir;
  const std::string whole = read_text(example(dir));
  for (const std::size_t at : {std::size_t{20}, std::size_t{30}, std::size_t{70}, std::size_t{75}}) {
    CAPTURE(at);
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    CHECK(Journal(dir.write("changed", changed)).records() == 0);
  }
  std::string changed = whole;
  changed.back() = static_cast<char>(changed.back() ^ 1);
  const Journal journal(dir.write("changed", changed));
  CHECK(journal.records() == 2);
  CHECK(journal.find("one") == sample(10, 1));
}

TEST_CASE("a file that is no journal is refused and left alone") {
  const TempDir dir;
  const auto path = dir.write("notes.txt", "my notes");
  const Failure refused = failure([&] { Journal journal(path); });
  CHECK(refused.code == Errc::BadFile);
  CHECK_THAT(refused.text, Contains("notes.txt\" is no journal"));
  CHECK(read_text(path) == "my notes");
  CHECK(failure([&] { Journal journal(dir.path()); }).code == Errc::Io);
  CHECK(failure([&] { Journal journal(dir / "none/j"); }).code == Errc::Io);
}

TEST_CASE("a journal that another process has is refused") {
  const TempDir dir;
  const auto path = example(dir);
  {
    const Journal holder(path);
    const pid_t child = ::fork();
    if (child == 0) {
      int code = 0;
      try {
        const Journal journal(path);
      } catch (const Error& error) {
        code =
            error.code() == Errc::Io && std::string(error.what()).find("in use by another process") != std::string::npos
                ? 7
                : 1;
      }
      ::_exit(code);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WEXITSTATUS(status) == 7);
    CHECK_THAT(failure([&] { Journal second(path); }).text, Contains("in use"));  // in this process too
  }
  CHECK(Journal(path).records() == 3);
}

TEST_CASE("the lock goes with a process that is killed, what it appended stays") {
  const TempDir dir;
  const auto path = dir / "j";
  const pid_t child = ::fork();
  if (child == 0) {
    Journal journal(path);
    for (int i = 0; i < 5; ++i) journal.append(std::to_string(i), sample(100, 1));
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  const Journal journal(path);
  CHECK(journal.records() == 5);
  CHECK(journal.find("4") == sample(100, 1));
}

TEST_CASE("where the disk is full, append says so and the journal stays whole") {
  const TempDir dir;
  const auto path = example(dir);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  {
    Journal journal(path);
    const rlimit limit{std::filesystem::file_size(path) + 100, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
    const Failure failed = failure([&] { journal.append("big", sample(1000, 9)); });
    ::setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
    CHECK(failed.code == Errc::Io);
    CHECK_FALSE(journal.find("big"));
    journal.append("small", "x");
  }
  const Journal journal(path);
  CHECK(journal.records() == 4);
  CHECK(journal.find("small") == "x");
}

TEST_CASE("several threads may append at once") {
  const TempDir dir;
  {
    Journal journal(dir / "j");
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 4; ++t)
      threads.emplace_back([&journal, t] {
        for (int i = 0; i < 10; ++i) journal.append(std::to_string(t) + ' ' + std::to_string(i), sample(50, t));
      });
    for (auto& thread : threads) thread.join();
  }
  const Journal journal(dir / "j");
  CHECK(journal.records() == 40);
  CHECK(journal.find("3 9") == sample(50, 3));
}

TEST_CASE("a removed journal is gone, and the next one starts empty") {
  const TempDir dir;
  {
    Journal journal(example(dir));
    journal.remove();
    CHECK(dir.count() == 0);
    CHECK(Journal(dir / "j").records() == 0);
  }
  CHECK(dir.count() == 1);
}
