#include "halftone/core/file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "core/flush_directory.hpp"
#include "halftone/core/error.hpp"

namespace halftone {
namespace {

namespace fs = std::filesystem;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

std::string reason(int error) { return std::generic_category().message(error); }

Descriptor open_to_read(const fs::path& path, int flags = 0) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags);
  const int error = errno;
  if (fd >= 0) return Descriptor(fd);
  if (error == ENOENT || error == ENOTDIR)
    throw Error(Errc::NotFound, message("file ", path, " does not exist: check the path"));
  throw Error(Errc::Io, message("cannot open ", path, ": ", reason(error)));
}

struct stat status_of(const Descriptor& file, const fs::path& path) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw Error(Errc::Io, message("cannot inspect ", path, ": ", reason(errno)));
  if (S_ISDIR(status.st_mode)) throw Error(Errc::Io, message(path, " is a directory: name a file"));
  return status;
}

void write_all(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw std::system_error(errno, std::generic_category());
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(fd) != 0) throw std::system_error(errno, std::generic_category());
}

/// A new file in `directory`, removed again unless it was renamed.
class TemporaryFile {
 public:
  explicit TemporaryFile(const fs::path& directory) : file_(create(directory)) {}
  ~TemporaryFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  TemporaryFile(TemporaryFile&&) = delete;
  TemporaryFile& operator=(TemporaryFile&&) = delete;

  [[nodiscard]] int fd() const { return file_.get(); }
  void rename_to(const fs::path& target) {
    fs::rename(path_, target);
    path_.clear();
  }

 private:
  // O_EXCL makes the name unique among threads, and among machines that share the directory.
  Descriptor create(const fs::path& directory) {
    for (int attempt = 0;; ++attempt) {
      path_ = directory / message(".halftone-", ::getpid(), "-", attempt, ".tmp");
      const int fd = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (fd >= 0) return Descriptor(fd);
      const int error = errno;
      if (error == EEXIST && attempt < 10000) continue;
      path_.clear();
      throw std::system_error(error, std::generic_category());
    }
  }

  fs::path path_;
  Descriptor file_;
};

}  // namespace

void internal::flush_directory(const fs::path& directory) {
  const Descriptor file(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Directories that may not be read, and file systems that cannot flush them, are no failure of the write.
  if (file.get() < 0 || ::fsync(file.get()) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS) return;
  throw std::system_error(errno, std::generic_category());
}

namespace {

fs::path directory_of(const fs::path& file) { return file.has_parent_path() ? file.parent_path() : fs::path("."); }

}  // namespace

MappedFile::MappedFile(const fs::path& path, MapAccess access) : path_(path) {
  // Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
  const Descriptor file = open_to_read(path, O_NONBLOCK);
  const struct stat status = status_of(file, path);
  if (!S_ISREG(status.st_mode))
    throw Error(Errc::Io, message(path, " is no regular file and cannot be mapped: copy it to one"));
  if (status.st_size == 0) return;
  const auto size = static_cast<std::size_t>(status.st_size);
  const int protection = PROT_READ | (access == MapAccess::WritePrivately ? PROT_WRITE : 0);
  void* const data = ::mmap(nullptr, size, protection, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED)
    throw Error(Errc::Io, message("cannot map the ", size, " bytes of ", path, ": ", reason(errno)));
  data_ = static_cast<const std::byte*>(data);
  size_ = size;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

std::string read_text(const fs::path& path, std::size_t most) {
  const Descriptor file = open_to_read(path);
  const struct stat status = status_of(file, path);
  // The size is a hint only: files of /proc say 0, and others may grow.
  std::string text;
  if (status.st_size > 0) text.reserve(std::min(static_cast<std::size_t>(status.st_size), most));
  char buffer[1 << 14];
  while (true) {
    const ssize_t count = ::read(file.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw Error(Errc::Io, message("cannot read ", path, ": ", reason(errno)));
    if (count == 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
    if (text.size() > most)
      throw Error(Errc::BadFile,
                  message(path, " holds more than ", most, " bytes, the most that is read of such a file"));
  }
}

void require_replaceable(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (error == std::errc::filename_too_long)
    throw Error(Errc::Io, message("cannot write ", path, ": its name is too long: choose another"));
  if (fs::exists(status) && !fs::is_regular_file(status))
    throw Error(Errc::Io, message("cannot write ", path, ": it exists and is no regular file: choose another name"));
}

void write_atomically(const fs::path& path, std::string_view content) {
  require_replaceable(path);  // what is no file (a device, say) is never replaced by one
  try {
    const fs::path target = fs::exists(path) ? fs::canonical(path) : path;  // a link keeps pointing where it did
    TemporaryFile temporary(directory_of(target));
    write_all(temporary.fd(), content);
    temporary.rename_to(target);
    internal::flush_directory(directory_of(target));
  } catch (const std::system_error& error) {
    throw Error(Errc::Io, message("cannot write ", path, ": ", reason(error.code().value()),
                                  ": choose another place, free space or change permissions"));
  }
}

void require_writable(const fs::path& directory) {
  try {
    fs::create_directories(directory);
    TemporaryFile probe(directory);
  } catch (const std::system_error& error) {
    throw Error(Errc::Io, message("cannot write into directory ", directory, ": ", reason(error.code().value()),
                                  ": choose another directory or change its permissions"));
  }
}

}  // namespace halftone
