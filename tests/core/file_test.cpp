#include "halftone/core/file.hpp"

#include <atomic>
#include <csignal>
#include <filesystem>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>
#include <thread>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "failure.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

std::string text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

/// Makes every write beyond `bytes` of a file fail, as a full disk would, even for root.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int) = SIG_DFL;
};

}  // namespace

TEST_CASE("a mapped file shows the file's bytes, also after a move") {
  const TempDir dir;
  const std::string content = std::string("a\0b\n", 4) + std::string(100'000, 'z');
  MappedFile file(dir.write("x", content));
  CHECK(text_of(file) == content);
  CHECK(file.path() == dir / "x");
  const MappedFile moved = std::move(file);
  CHECK(text_of(moved) == content);
  CHECK(file.bytes().empty());
}

TEST_CASE("what is written to a private mapping stays out of the file") {
  const TempDir dir;
  const auto path = dir.write("x", "abc");
  const MappedFile file(path, MapAccess::WritePrivately);
  *const_cast<std::byte*>(file.bytes().data()) = std::byte{'z'};
  CHECK(text_of(file) == "zbc");
  CHECK(read_text(path) == "abc");
}

TEST_CASE("an empty file maps to an empty span") {
  const TempDir dir;
  CHECK(MappedFile(dir.write("empty", "")).bytes().empty());
  CHECK(read_text(dir / "empty").empty());
}

TEST_CASE("what cannot be mapped is named with the reason") {
  const TempDir dir;
  const Failure missing = failure([&] { MappedFile file(dir / "none"); });
  CHECK(missing.code == Errc::NotFound);
  CHECK_THAT(missing.text, Contains("none\" does not exist: check the path"));

  const Failure below_file = failure([&] { MappedFile file(dir.write("x", "1") / "y"); });
  CHECK(below_file.code == Errc::NotFound);

  const Failure folder = failure([&] { MappedFile file(dir.path()); });
  CHECK(folder.code == Errc::Io);
  CHECK_THAT(folder.text, Contains(dir.path().string()) && Contains("is a directory"));

  REQUIRE(::mkfifo((dir / "pipe").c_str(), 0600) == 0);
  const Failure pipe = failure([&] { MappedFile file(dir / "pipe"); });
  CHECK(pipe.code == Errc::Io);
  CHECK_THAT(pipe.text, Contains("no regular file"));
}

TEST_CASE("text is read whole or refused") {
  const TempDir dir;
  const auto path = dir.write("x", std::string(1000, 'y'));
  CHECK(read_text(path) == std::string(1000, 'y'));
  CHECK(read_text(path, 1000).size() == 1000);
  const Failure large = failure([&] { read_text(path, 999); });
  CHECK(large.code == Errc::BadFile);
  CHECK_THAT(large.text, Contains("more than 999 bytes"));
  CHECK(failure([&] { read_text(dir / "none"); }).code == Errc::NotFound);
  CHECK(failure([&] { read_text(dir.path()); }).code == Errc::Io);
}

TEST_CASE("files whose size the system does not tell are read whole") {
  CHECK_FALSE(read_text("/proc/self/status").empty());
  CHECK(failure([] { read_text("/dev/zero", 1 << 20); }).code == Errc::BadFile);
}

TEST_CASE("a file is created or replaced whole, and nothing else is left behind") {
  const TempDir dir;
  const auto path = dir / "plan.json";
  write_atomically(path, "first");
  CHECK(read_text(path) == "first");
  write_atomically(path, std::string(1 << 20, 'x'));
  CHECK(read_text(path) == std::string(1 << 20, 'x'));
  write_atomically(path, "");
  CHECK(read_text(path).empty());
  CHECK(dir.count() == 1);
}

TEST_CASE("a name as long as the file system allows can be written") {
  const TempDir dir;
  const auto path = dir / std::string(255, 'n');
  write_atomically(path, "x");
  CHECK(read_text(path) == "x");
}

TEST_CASE("a failed write keeps the old content and leaves nothing behind") {
  const TempDir dir;
  const auto path = dir.write("run.json", "old");
  Failure full;
  {
    const FileSizeLimit limit(4096);
    full = failure([&] { write_atomically(path, std::string(10'000, 'x')); });
  }
  CHECK(full.code == Errc::Io);
  CHECK_THAT(full.text, Contains("cannot write") && Contains("run.json") && Contains("free space"));
  CHECK(read_text(path) == "old");
  CHECK(dir.count() == 1);
}

TEST_CASE("a file in a folder that does not exist is not written") {
  const TempDir dir;
  const Failure missing = failure([&] { write_atomically(dir / "no/such/x", "1"); });
  CHECK(missing.code == Errc::Io);
  CHECK_THAT(missing.text, Contains("no/such/x") && Contains("No such file or directory"));
  CHECK(dir.count() == 0);
}

TEST_CASE("a link keeps pointing where it did") {
  const TempDir dir;
  const auto file = dir.write("file", "old");
  fs::create_symlink(file, dir / "link");
  write_atomically(dir / "link", "new");
  CHECK(fs::is_symlink(dir / "link"));
  CHECK(read_text(file) == "new");
}

TEST_CASE("folders and devices are never replaced by a file") {
  const TempDir dir;
  fs::create_directory(dir / "folder");
  for (const auto& path : {dir / "folder", fs::path("/dev/null")}) {
    const Failure refused = failure([&] { write_atomically(path, "x"); });
    CHECK(refused.code == Errc::Io);
    CHECK_THAT(refused.text, Contains("no regular file"));
  }
  CHECK(dir.count() == 1);
}

TEST_CASE("readers beside many writers see one whole content") {
  const TempDir dir;
  const auto path = dir.write("x", std::string(50'000, '0'));
  std::atomic<int> writers = 4;
  std::vector<std::thread> threads;
  for (char fill = 'a'; fill < 'e'; ++fill)
    threads.emplace_back([&, fill] {
      for (int i = 0; i < 20; ++i) write_atomically(path, std::string(50'000, fill));
      --writers;
    });
  bool whole = true;
  do {
    const std::string text = read_text(path);
    whole = whole && text == std::string(50'000, text.front());
  } while (writers > 0);
  for (auto& thread : threads) thread.join();
  CHECK(whole);
  CHECK(dir.count() == 1);
}

TEST_CASE("a writable directory is created where it is missing and left empty") {
  const TempDir dir;
  require_writable(dir / "a/b/c");
  CHECK(fs::is_empty(dir / "a/b/c"));
  require_writable(dir / "a/b/c");
  CHECK(fs::is_empty(dir / "a/b/c"));
}

TEST_CASE("a directory that cannot be written is named with the reason and a way out") {
  const TempDir dir;
  dir.write("file", "x");
  for (const char* name : {"file", "file/below"}) {
    const Failure refused = failure([&] { require_writable(dir / name); });
    CHECK(refused.code == Errc::Io);
    CHECK_THAT(refused.text,
               Contains((dir / name).string()) && Contains("Not a directory") && Contains("choose another directory"));
  }
  // Root may write anywhere but into what the kernel makes up.
  CHECK(failure([] { require_writable("/proc/self"); }).code == Errc::Io);
}
