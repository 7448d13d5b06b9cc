#include "halftone/core/zip_index.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "core/quoted.hpp"
#include "halftone/core/error.hpp"

// Files come from strangers: nothing in them is used before it was checked.

namespace halftone {
namespace {

constexpr std::uint32_t kLocalHeader = 0x04034b50;
constexpr std::uint32_t kCentralHeader = 0x02014b50;
constexpr std::uint32_t kEnd = 0x06054b50;
constexpr std::uint32_t kEnd64 = 0x06064b50;
constexpr std::uint32_t kLocator64 = 0x07064b50;
constexpr std::size_t kLocalBytes = 30;
constexpr std::size_t kCentralBytes = 46;
constexpr std::size_t kEndBytes = 22;
constexpr std::size_t kEnd64Bytes = 56;
constexpr std::size_t kLocatorBytes = 20;
constexpr std::size_t kMostComment = 0xffff;
constexpr std::uint16_t kZip64Extra = 1;
constexpr std::uint64_t kFull16 = 0xffff;  // the true value stands in a zip64 field
constexpr std::uint64_t kFull32 = 0xffffffff;

// Bits of an entry's flags.
constexpr std::uint64_t kEncrypted = 1 << 0;
constexpr std::uint64_t kSizesFollow = 1 << 3;  // the local header may leave checksum and sizes empty
constexpr std::uint64_t kPatch = 1 << 5;
constexpr std::uint64_t kStronglyEncrypted = 1 << 6;
constexpr std::uint64_t kHidden = 1 << 13;

/// A little-endian number of `count` bytes.
std::uint64_t number(std::span<const std::byte> bytes, std::size_t at, std::size_t count) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value |= std::to_integer<std::uint64_t>(bytes[at + i]) << (8 * i);
  return value;
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Where the central directory lies.
struct Directory {
  std::uint64_t entries = 0;
  std::uint64_t size = 0;
  std::uint64_t offset = 0;
};

/// An entry, with what its local header must repeat.
struct Listed {
  ZipEntry entry;
  std::uint64_t flags = 0;
  std::uint64_t method = 0;
  std::uint64_t header = 0;   ///< offset of the local header
  std::uint64_t content = 0;  ///< bytes once decompressed
};

/// One archive's checks; every failure names the archive.
class Reader {
 public:
  Reader(std::span<const std::byte> archive, const std::string& name) : archive_(archive), name_(name) {}

  std::vector<ZipEntry> read() const;

 private:
  template <class... Why>
  [[noreturn]] void fail(const Why&... why) const {
    throw Error(Errc::BadFile, message("zip archive ", internal::quoted(name_), ": ", why...));
  }
  template <class... Why>
  [[noreturn]] void fail_entry(std::string_view entry, const Why&... why) const {
    fail("entry ", internal::quoted(entry), ": ", why...);
  }

  [[nodiscard]] std::uint64_t find_end() const;
  [[nodiscard]] Directory read_end() const;
  [[nodiscard]] Directory read_end64(std::uint64_t locator, const Directory& small) const;
  Listed read_central(std::span<const std::byte> directory, std::size_t& at) const;
  void read_zip64(Listed& listed, std::span<const std::byte> extra) const;
  void check_name(std::string_view name) const;
  void read_local(Listed& listed, std::uint64_t limit) const;
  void check_overlap(std::vector<Listed>& listed) const;

  std::span<const std::byte> archive_;
  const std::string& name_;
};

/// The last record whose comment ends with the archive.
std::uint64_t Reader::find_end() const {
  if (archive_.size() < kEndBytes)
    fail("holds ", archive_.size(), " bytes, and an archive has ", kEndBytes, " at least: is this a zip archive?");
  const std::uint64_t last = archive_.size() - kEndBytes;
  for (std::uint64_t back = 0; back <= std::min<std::uint64_t>(last, kMostComment); ++back)
    if (number(archive_, last - back, 4) == kEnd && number(archive_, last - back + 20, 2) == back) return last - back;
  fail("no end of a central directory was found: the file is cut short or no zip archive");
}

Directory Reader::read_end() const {
  const std::uint64_t end = find_end();
  const auto field = [&](std::size_t at, std::size_t count) { return number(archive_, end + at, count); };
  Directory directory{field(10, 2), field(12, 4), field(16, 4)};
  std::uint64_t limit = end;
  const bool is_split = field(4, 2) != 0 || field(6, 2) != 0 || field(8, 2) != directory.entries;
  if (end >= kLocatorBytes && number(archive_, end - kLocatorBytes, 4) == kLocator64) {
    directory = read_end64(end - kLocatorBytes, directory);
    limit = number(archive_, end - kLocatorBytes + 8, 8);
  } else if (is_split) {
    fail("it is one of several disks: join them to one archive");
  }
  if (directory.size > limit || directory.offset != limit - directory.size)
    fail("the central directory of ", directory.size, " bytes at ", directory.offset, " does not end at byte ", limit,
         ", where its end record begins: bytes are missing, or were put before or into the archive");
  if (directory.entries > directory.size / kCentralBytes)
    fail("the central directory of ", directory.size, " bytes is said to hold ", directory.entries,
         " entries, which need ", kCentralBytes, " bytes each at least");
  return directory;
}

Directory Reader::read_end64(std::uint64_t locator, const Directory& small) const {
  const std::uint64_t end = number(archive_, locator + 8, 8);
  if (number(archive_, locator + 4, 4) != 0 || number(archive_, locator + 16, 4) > 1)
    fail("it is one of several disks: join them to one archive");
  if (end > locator || locator - end < kEnd64Bytes || number(archive_, end, 4) != kEnd64)
    fail("the zip64 end record is said to be at byte ", end, ", and is not");
  const std::uint64_t follows = number(archive_, end + 4, 8);
  if (follows != locator - end - 12)
    fail("the zip64 end record at byte ", end, " gives its size as ", follows, ", but ", locator - end - 12,
         " bytes follow");
  const auto field = [&](std::size_t at, std::size_t count) { return number(archive_, end + at, count); };
  const Directory large{field(32, 8), field(40, 8), field(48, 8)};
  if (field(16, 4) != 0 || field(20, 4) != 0 || field(24, 8) != large.entries)
    fail("it is one of several disks: join them to one archive");
  const auto agrees = [](std::uint64_t a, std::uint64_t b, std::uint64_t full) { return a == b || a == full; };
  if (!agrees(small.entries, large.entries, kFull16) || !agrees(small.size, large.size, kFull32) ||
      !agrees(small.offset, large.offset, kFull32))
    fail("the zip64 end record contradicts the plain one");
  return large;
}

void Reader::check_name(std::string_view name) const {
  if (name.empty()) fail("an entry has no name");
  if (name.front() == '/' || name.find('\0') != name.npos || name.find('\\') != name.npos || name.find(':') == 1)
    fail_entry(name, "the name is not allowed: a path relative to the archive, with forward slashes, is needed");
  for (std::string_view rest = name; !rest.empty();) {
    const auto slash = rest.find('/');
    const auto part = rest.substr(0, slash);
    if (part.empty() || part == "." || part == "..")
      fail_entry(name, "the name is not allowed: its parts must not be empty, \".\" or \"..\"");
    rest.remove_prefix(slash == rest.npos ? rest.size() : slash + 1);
  }
}

/// Fields that are full in the central header stand in the zip64 extra field, in this order.
void Reader::read_zip64(Listed& listed, std::span<const std::byte> extra) const {
  const std::string& name = listed.entry.name;
  bool is_read = false;
  while (!extra.empty()) {
    if (extra.size() < 4 || number(extra, 2, 2) > extra.size() - 4) fail_entry(name, "its extra fields are cut short");
    auto field = extra.subspan(4, number(extra, 2, 2));
    const bool is_zip64 = number(extra, 0, 2) == kZip64Extra;
    extra = extra.subspan(4 + field.size());
    if (!is_zip64) continue;
    if (std::exchange(is_read, true)) fail_entry(name, "it has two zip64 fields");
    for (std::uint64_t* value : {&listed.content, &listed.entry.size, &listed.header}) {
      if (*value != kFull32) continue;
      if (field.size() < 8) fail_entry(name, "its zip64 field is too short for what it must hold");
      *value = number(field, 0, 8);
      field = field.subspan(8);
    }
  }
}

Listed Reader::read_central(std::span<const std::byte> directory, std::size_t& at) const {
  if (directory.size() - at < kCentralBytes || number(directory, at, 4) != kCentralHeader)
    fail("the central directory has no entry at its byte ", at, ", where one must be");
  const auto field = [&](std::size_t offset, std::size_t count) { return number(directory, at + offset, count); };
  const std::size_t name_bytes = field(28, 2);
  const std::size_t extra_bytes = field(30, 2);
  const std::size_t needed = kCentralBytes + name_bytes + extra_bytes + field(32, 2);
  if (directory.size() - at < needed) fail("the central directory ends inside its entry at byte ", at);
  Listed listed;
  listed.entry.name = text_of(directory.subspan(at + kCentralBytes, name_bytes));
  check_name(listed.entry.name);
  listed.flags = field(8, 2);
  listed.method = field(10, 2);
  listed.entry.crc32 = static_cast<std::uint32_t>(field(16, 4));
  listed.entry.size = field(20, 4);
  listed.content = field(24, 4);
  listed.header = field(42, 4);
  if (field(34, 2) != 0) fail_entry(listed.entry.name, "it lies on another disk: join them to one archive");
  read_zip64(listed, directory.subspan(at + kCentralBytes + name_bytes, extra_bytes));
  const bool is_changed = (listed.flags & (kEncrypted | kPatch | kStronglyEncrypted | kHidden)) != 0;
  listed.entry.is_stored = listed.method == 0 && !is_changed;
  if (listed.entry.is_stored && listed.entry.size != listed.content)
    fail_entry(listed.entry.name, "it is stored as it is, but has ", listed.entry.size, " bytes in the archive and ",
               listed.content, " outside");
  at += needed;
  return listed;
}

/// The header before the content, which must repeat what the directory says. `limit`: where content must end.
void Reader::read_local(Listed& listed, std::uint64_t limit) const {
  ZipEntry& entry = listed.entry;
  if (listed.header > limit || limit - listed.header < kLocalBytes ||
      number(archive_, listed.header, 4) != kLocalHeader)
    fail_entry(entry.name, "its header is said to be at byte ", listed.header, ", and is not");
  const auto field = [&](std::size_t at, std::size_t count) { return number(archive_, listed.header + at, count); };
  const std::uint64_t name_bytes = field(26, 2);
  const std::uint64_t before = kLocalBytes + name_bytes + field(28, 2);
  if (limit - listed.header < before || limit - listed.header - before < entry.size)
    fail_entry(entry.name, "its ", entry.size, " bytes at ", listed.header,
               " reach into the central directory at byte ", limit);
  entry.offset = listed.header + before;
  const bool later = (listed.flags & kSizesFollow) != 0;
  const auto agrees = [&](std::uint64_t local, std::uint64_t central) {
    return local == central || (later && local == 0);
  };
  const auto size_agrees = [&](std::uint64_t local, std::uint64_t central) {
    return local == kFull32 || agrees(local, central);
  };
  if (text_of(archive_.subspan(listed.header + kLocalBytes, name_bytes)) != entry.name || field(6, 2) != listed.flags ||
      field(8, 2) != listed.method || !agrees(field(14, 4), entry.crc32) || !size_agrees(field(18, 4), entry.size) ||
      !size_agrees(field(22, 4), listed.content))
    fail_entry(entry.name, "the header at byte ", listed.header, " contradicts the central directory");
}

void Reader::check_overlap(std::vector<Listed>& listed) const {
  std::sort(listed.begin(), listed.end(), [](const Listed& a, const Listed& b) { return a.header < b.header; });
  for (std::size_t i = 1; i < listed.size(); ++i) {
    const ZipEntry& before = listed[i - 1].entry;
    if (listed[i].header < before.offset + before.size)
      fail_entry(listed[i].entry.name, "begins at byte ", listed[i].header, ", inside ", internal::quoted(before.name),
                 ", which ends at ", before.offset + before.size);
  }
}

std::vector<ZipEntry> Reader::read() const {
  const Directory end = read_end();
  const auto directory = archive_.subspan(end.offset, end.size);
  std::vector<Listed> listed;
  listed.reserve(end.entries);
  std::size_t at = 0;
  while (listed.size() < end.entries) {
    listed.push_back(read_central(directory, at));
    read_local(listed.back(), end.offset);
  }
  if (at != directory.size())
    fail("the central directory has ", directory.size() - at, " bytes behind its ", end.entries, " entries");
  check_overlap(listed);
  std::vector<ZipEntry> entries;
  entries.reserve(listed.size());
  for (auto& one : listed) entries.push_back(std::move(one.entry));
  std::sort(entries.begin(), entries.end(), [](const ZipEntry& a, const ZipEntry& b) { return a.name < b.name; });
  const auto same_name = [](const ZipEntry& a, const ZipEntry& b) { return a.name == b.name; };
  const auto twice = std::adjacent_find(entries.begin(), entries.end(), same_name);
  if (twice != entries.end()) fail_entry(twice->name, "the name occurs twice");
  return entries;
}

constexpr std::size_t kSlices = 8;

/// By slice and byte: the checksum of that byte followed by as many zero bytes as the slice's number.
constexpr auto make_crc_tables() {
  std::array<std::array<std::uint32_t, 256>, kSlices> tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0xedb88320 : 0);
    tables[0][byte] = value;
  }
  for (std::size_t slice = 1; slice < kSlices; ++slice)
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[slice - 1][byte];
      tables[slice][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  return tables;
}

constexpr auto kCrcTables = make_crc_tables();

}  // namespace

ZipIndex::ZipIndex(std::span<const std::byte> archive, std::string name) : archive_(archive), name_(std::move(name)) {
  entries_ = Reader(archive_, name_).read();
}

const ZipEntry* ZipIndex::find(std::string_view name) const {
  const auto before = [](const ZipEntry& entry, std::string_view wanted) { return entry.name < wanted; };
  const auto found = std::lower_bound(entries_.begin(), entries_.end(), name, before);
  return found != entries_.end() && found->name == name ? &*found : nullptr;
}

std::span<const std::byte> ZipIndex::bytes(std::string_view name) const {
  if (const ZipEntry* const entry = find(name)) return bytes(*entry);
  throw Error(Errc::NotFound, message("zip archive ", internal::quoted(name_), " has no entry ", internal::quoted(name),
                                      " among its ", entries_.size()));
}

std::span<const std::byte> ZipIndex::bytes(const ZipEntry& entry) const {
  if (!entry.is_stored)
    throw Error(Errc::Unsupported,
                message("zip archive ", internal::quoted(name_), ": entry ", internal::quoted(entry.name),
                        " is compressed or encrypted, and only stored entries can be read: unpack the archive and pack "
                        "it again without compression (zip -0)"));
  return archive_.subspan(entry.offset, entry.size);
}

void ZipIndex::verify(const ZipEntry& entry) const {
  const std::uint32_t found = crc32(bytes(entry));
  if (found != entry.crc32)
    throw Error(Errc::BadFile, message("zip archive ", internal::quoted(name_), ": entry ",
                                       internal::quoted(entry.name), " has checksum ", found, ", and ", entry.crc32,
                                       " was written: the file is damaged; copy or export it again"));
}

// Eight bytes a step. Source: Kounavis, Berry, 2008, Novel Table Lookup-Based Algorithms for High-Performance CRC
// Generation, section 4.
std::uint32_t crc32(std::span<const std::byte> bytes) {
  std::uint32_t state = ~std::uint32_t{0};
  const auto byte_at = [&](std::size_t i) { return std::to_integer<std::uint32_t>(bytes[i]); };
  while (bytes.size() >= kSlices) {
    std::uint32_t next = 0;
    for (std::size_t i = 0; i < kSlices; ++i) {
      const std::uint32_t mixed = i < 4 ? (state >> (8 * i)) & 0xff : 0;
      next ^= kCrcTables[kSlices - 1 - i][byte_at(i) ^ mixed];
    }
    state = next;
    bytes = bytes.subspan(kSlices);
  }
  for (std::size_t i = 0; i < bytes.size(); ++i) state = (state >> 8) ^ kCrcTables[0][(state ^ byte_at(i)) & 0xff];
  return ~state;
}

}  // namespace halftone
