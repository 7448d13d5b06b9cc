#include "halftone/core/journal.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include "core/flush_directory.hpp"
#include "halftone/core/digest.hpp"
#include "halftone/core/error.hpp"

namespace halftone {

namespace {

constexpr std::string_view kMagic = "halftone journal 1\n";
constexpr std::size_t kChecksum = 32;
constexpr std::size_t kHead = 8 + 8 + kChecksum;  // length of key, of bytes, checksum
constexpr std::uint64_t kLongestKey = 4096;

[[noreturn]] void fail(const std::filesystem::path& path, const char* doing) {
  throw Error(Errc::Io, message("cannot ", doing, " journal ", path, ": ", std::strerror(errno),
                                ": free space or change permissions"));
}

void put_number(std::string& text, std::uint64_t number) {
  for (int i = 0; i < 8; ++i) text += static_cast<char>(number >> (8 * i) & 0xff);
}

std::uint64_t number_at(std::string_view bytes) {
  std::uint64_t number = 0;
  for (int i = 0; i < 8; ++i)
    number |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)])) << (8 * i);
  return number;
}

std::string checksum(std::string_view key, std::string_view bytes) { return Digest().add(key).add(bytes).hex(); }

/// Up to `size` bytes from `offset`; fewer at the end of the file.
std::string read_at(int file, const std::filesystem::path& path, std::uint64_t offset, std::uint64_t size) {
  std::string bytes(size, '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::pread(file, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(path, "read");
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  bytes.resize(done);
  return bytes;
}

bool write_at(int file, std::uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return ::fsync(file) == 0;
}

std::uint64_t size_of(int file, const std::filesystem::path& path) {
  struct stat status {};
  if (::fstat(file, &status) != 0) fail(path, "inspect");
  return static_cast<std::uint64_t>(status.st_size);
}

/// Whether `path` still leads to the open file: another process may have taken it away before the lock was free.
bool leads_to(const std::filesystem::path& path, int file) {
  struct stat named {};
  struct stat open {};
  return ::stat(path.c_str(), &named) == 0 && ::fstat(file, &open) == 0 && named.st_ino == open.st_ino &&
         named.st_dev == open.st_dev;
}

}  // namespace

Journal::Journal(const std::filesystem::path& path) : path_(path) {
  try {
    open_and_lock();
    read_records();
  } catch (...) {
    if (file_ >= 0) ::close(file_);
    throw;
  }
}

std::unique_ptr<Journal> Journal::in_memory(std::string_view bytes) {
  std::unique_ptr<Journal> journal(new Journal);
  journal->path_ = "(in memory)";
  journal->file_ = ::memfd_create("journal", MFD_CLOEXEC);
  if (journal->file_ < 0 || !write_at(journal->file_, 0, bytes)) fail(journal->path_, "make");
  journal->read_records();
  return journal;
}

Journal::~Journal() {
  if (file_ >= 0) ::close(file_);  // and gives the lock back
}

void Journal::open_and_lock() {
  while (true) {
    file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
    if (file_ < 0) fail(path_, "open");
    struct stat status {};
    if (::fstat(file_, &status) != 0 || !S_ISREG(status.st_mode))
      throw Error(Errc::Io, message("journal ", path_, " is no regular file: choose another name"));
    if (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) fail(path_, "lock");
      throw Error(Errc::Io, message("journal ", path_,
                                    " is in use by another process: wait "
                                    "for it, stop it, or choose another output"));
    }
    if (leads_to(path_, file_)) return;
    ::close(file_);
    file_ = -1;
  }
}

void Journal::read_records() {
  const std::uint64_t size = size_of(file_, path_);
  const std::string magic = read_at(file_, path_, 0, kMagic.size());
  if (!kMagic.starts_with(magic))
    throw Error(Errc::BadFile, message(path_, " is no journal: move it away, or choose another output"));
  if (magic != kMagic) {  // new, or killed right at the start
    if (!write_at(file_, 0, kMagic)) fail(path_, "write");
    try {
      internal::flush_directory(std::filesystem::absolute(path_).parent_path());
    } catch (const std::system_error& error) {
      errno = error.code().value();
      fail(path_, "keep");
    }
    end_ = kMagic.size();
    return;
  }
  end_ = kMagic.size();
  while (true) {
    const std::string head = read_at(file_, path_, end_, kHead);
    if (head.size() < kHead) break;
    const std::uint64_t key_size = number_at(head);
    const std::uint64_t bytes_size = number_at(std::string_view(head).substr(8));
    if (key_size > kLongestKey || bytes_size > size || end_ + kHead + key_size + bytes_size > size) break;
    const std::string body = read_at(file_, path_, end_ + kHead, key_size + bytes_size);
    const std::string key = body.substr(0, key_size);
    if (body.size() != key_size + bytes_size ||
        checksum(key, std::string_view(body).substr(key_size)) != head.substr(16))
      break;
    places_[key] = {end_ + kHead + key_size, bytes_size};
    end_ += kHead + key_size + bytes_size;
  }
  if (end_ < size && (::ftruncate(file_, static_cast<off_t>(end_)) != 0 || ::fsync(file_) != 0)) fail(path_, "cut");
}

std::optional<std::string> Journal::find(const std::string& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = places_.find(key);
  if (found == places_.end()) return std::nullopt;
  return read_at(file_, path_, found->second.offset, found->second.size);
}

void Journal::append(const std::string& key, std::string_view bytes) {
  if (key.size() > kLongestKey)
    throw Error(Errc::InvalidArgument, message("journal: a key of ", key.size(), " bytes, at most ", kLongestKey));
  std::string record;
  record.reserve(kHead + key.size() + bytes.size());
  put_number(record, key.size());
  put_number(record, bytes.size());
  record += checksum(key, bytes);
  record += key;
  record += bytes;
  const std::lock_guard lock(mutex_);
  if (!write_at(file_, end_, record)) {
    const int error = errno;
    (void)!::ftruncate(file_, static_cast<off_t>(end_));
    errno = error;
    fail(path_, "write");
  }
  places_[key] = {end_ + kHead + key.size(), bytes.size()};
  end_ += record.size();
}

std::size_t Journal::records() const {
  const std::lock_guard lock(mutex_);
  return places_.size();
}

std::string Journal::bytes() const {
  const std::lock_guard lock(mutex_);
  return read_at(file_, path_, 0, end_);
}

void Journal::remove() {
  const std::lock_guard lock(mutex_);
  if (::unlink(path_.c_str()) != 0 && errno != ENOENT) fail(path_, "remove");
}

}  // namespace halftone
