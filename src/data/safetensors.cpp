#include "halftone/data/safetensors.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>
#include <string_view>
#include <tuple>
#include <utility>

#include "core/json_check.hpp"
#include "halftone/core/error.hpp"

// Source: the safetensors format description, https://github.com/huggingface/safetensors. Files come from strangers:
// nothing in them is used before it was checked.

namespace halftone {
namespace {

using nlohmann::json;

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kMostHeaderBytes = 100'000'000;  // the format's own limit

/// `text` as JSON writes it, cut where it is long, for messages about values that a stranger chose.
std::string shown(const json& value) {
  constexpr std::size_t most = 100;
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() <= most) return text;
  std::size_t end = most;
  while ((static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // never inside a UTF-8 character
  return text.substr(0, end) + "…";
}

/// One file's checks; every failure names the file.
class Reader {
 public:
  explicit Reader(const MappedFile& file) : path_(file.path()), bytes_(file.bytes()) { find_header(); }

  std::vector<SafetensorsEntry> read(std::map<std::string, std::string>& metadata) const;

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(Errc::BadFile, message("safetensors file ", path_, ": ", what));
  }
  [[noreturn]] void fail(const std::string& tensor, const std::string& what) const {
    fail(message("tensor ", shown(tensor), ": ", what));
  }

  void find_header();
  json parse_header() const;
  std::map<std::string, std::string> read_metadata(const json& value) const;
  SafetensorsEntry read_entry(const std::string& name, const json& value) const;
  DType read_dtype(const std::string& name, const json& value) const;
  std::vector<std::int64_t> read_shape(const std::string& name, const json& value) const;
  std::uint64_t byte_count(const SafetensorsEntry& entry) const;
  std::pair<std::uint64_t, std::uint64_t> read_offsets(const std::string& name, const json& value) const;
  void check_layout(std::vector<SafetensorsEntry>& entries) const;

  const std::filesystem::path& path_;
  std::span<const std::byte> bytes_;
  std::span<const std::byte> header_;
  std::span<const std::byte> data_;
};

void Reader::find_header() {
  if (bytes_.size() < kLengthBytes)
    fail(message("holds ", bytes_.size(), " bytes, but the format starts with 8 bytes of header length"));
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) length |= std::to_integer<std::uint64_t>(bytes_[i]) << (8 * i);
  if (length == 0) fail("the header length is 0: the smallest header is {}");
  if (length > kMostHeaderBytes)
    fail(message("the header length is ", length, " bytes, and the format allows ", kMostHeaderBytes,
                 " at most: is this a safetensors file?"));
  if (length > bytes_.size() - kLengthBytes)
    fail(message("the header length is ", length, " bytes, but only ", bytes_.size() - kLengthBytes,
                 " follow: the file is cut short or no safetensors file"));
  header_ = bytes_.subspan(kLengthBytes, length);
  data_ = bytes_.subspan(kLengthBytes + length);
  if (header_.front() != std::byte{'{'}) fail("the header does not start with {, as the format demands");
}

json Reader::parse_header() const {
  const std::string_view text(reinterpret_cast<const char*>(header_.data()), header_.size());
  // nlohmann takes a zero byte for the end of its input and would not see what follows.
  if (const auto zero = text.find('\0'); zero != text.npos)
    fail(message("the header is not valid JSON at its byte ", zero + 1));
  internal::JsonLimits limits;
  limits.deepest = 4;  // a list inside of a shape is refused by name
  limits.too_deep = [this] { fail("the header is nested deeper than the format allows"); };
  limits.twice = [this](const std::string& key) { fail(message("the header has the key ", shown(key), " twice")); };
  internal::check_json(text, std::move(limits));
  try {
    return json::parse(text.begin(), text.end());
  } catch (const json::parse_error& error) {
    fail(message("the header is not valid JSON at its byte ", error.byte));
  } catch (const json::exception&) {
    fail("the header is not valid JSON: a number is out of range");
  }
}

std::map<std::string, std::string> Reader::read_metadata(const json& value) const {
  if (!value.is_object()) fail(message("__metadata__ is ", shown(value), ": it must be an object of strings"));
  std::map<std::string, std::string> metadata;
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string())
      fail(message("__metadata__ entry ", shown(key), " is ", shown(text), ": it must be a string"));
    metadata[key] = text.get<std::string>();
  }
  return metadata;
}

DType Reader::read_dtype(const std::string& name, const json& value) const {
  const auto dtype = value.is_string() ? dtype_from_safetensors(value.get_ref<const std::string&>()) : std::nullopt;
  if (dtype) return *dtype;
  std::string allowed;
  for (const auto& known : kDTypes) allowed += message(allowed.empty() ? "" : ", ", known.safetensors);
  fail(name, message("dtype ", shown(value), " cannot be read: use one of ", allowed));
}

std::vector<std::int64_t> Reader::read_shape(const std::string& name, const json& value) const {
  if (!value.is_array()) fail(name, message("shape is ", shown(value), ": it must be a list of integers"));
  std::vector<std::int64_t> shape;
  for (const auto& size : value) {
    if (!size.is_number_unsigned() || size.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max())
      fail(name, message("shape ", shown(value), " holds ", shown(size), ": sizes are integers from 0 to 2^63-1"));
    shape.push_back(size.get<std::int64_t>());
  }
  return shape;
}

std::uint64_t Reader::byte_count(const SafetensorsEntry& entry) const {
  // Zeros are left out first: a shape that overflows without them would still overflow in strides.
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  std::uint64_t bytes = info(entry.dtype).bytes;
  bool empty = false;
  for (const std::int64_t size : entry.shape) {
    if (size == 0)
      empty = true;
    else if (bytes > most / static_cast<std::uint64_t>(size))
      fail(entry.name, message("shape ", shown(entry.shape), " of ", info(entry.dtype).safetensors,
                               " needs more bytes than 64 bits can count"));
    else
      bytes *= static_cast<std::uint64_t>(size);
  }
  return empty ? 0 : bytes;
}

std::pair<std::uint64_t, std::uint64_t> Reader::read_offsets(const std::string& name, const json& value) const {
  if (!value.is_array() || value.size() != 2 || !value[0].is_number_unsigned() || !value[1].is_number_unsigned())
    fail(name, message("data_offsets is ", shown(value), ": it must be [begin, end], two integers from 0"));
  const auto begin = value[0].get<std::uint64_t>();
  const auto end = value[1].get<std::uint64_t>();
  if (begin > end) fail(name, message("data_offsets ", shown(value), " end before they begin"));
  if (end > data_.size())
    fail(name,
         message("data_offsets ", shown(value), " end outside the file, which holds ", data_.size(), " bytes of data"));
  return {begin, end};
}

SafetensorsEntry Reader::read_entry(const std::string& name, const json& value) const {
  if (!value.is_object()) fail(name, message("is ", shown(value), ": it must be an object"));
  for (const char* const key : {"dtype", "shape", "data_offsets"})
    if (!value.contains(key)) fail(name, message(key, " is missing"));
  if (value.size() != 3)
    fail(name, message("holds ", value.size(), " keys: it must hold dtype, shape and data_offsets only"));

  SafetensorsEntry entry{name, read_dtype(name, value["dtype"]), read_shape(name, value["shape"]), {}};
  const auto [begin, end] = read_offsets(name, value["data_offsets"]);
  const std::uint64_t needed = byte_count(entry);
  if (end - begin != needed)
    fail(name, message("data_offsets ", shown(value["data_offsets"]), " span ", end - begin, " bytes, but shape ",
                       shown(value["shape"]), " of ", info(entry.dtype).safetensors, " needs ", needed));
  entry.bytes = data_.subspan(begin, needed);
  return entry;
}

/// Sorts entries as they lie in the file and checks that they cover its data once.
void Reader::check_layout(std::vector<SafetensorsEntry>& entries) const {
  const auto begin_of = [&](const SafetensorsEntry& entry) { return entry.bytes.data() - data_.data(); };
  std::sort(entries.begin(), entries.end(), [&](const SafetensorsEntry& a, const SafetensorsEntry& b) {
    return std::tuple(begin_of(a), a.bytes.size(), a.name) < std::tuple(begin_of(b), b.bytes.size(), b.name);
  });
  std::ptrdiff_t covered = 0;
  for (const auto& entry : entries) {
    const auto begin = begin_of(entry);
    if (begin < covered)
      fail(entry.name, message("begins at byte ", begin, ", inside another tensor that ends at ", covered));
    if (begin > covered)
      fail(entry.name, message("begins at byte ", begin, ", but the tensor before it ends at ", covered,
                               ": the format allows no gaps"));
    covered += static_cast<std::ptrdiff_t>(entry.bytes.size());
  }
  if (static_cast<std::size_t>(covered) != data_.size())
    fail(message("tensors cover ", covered, " bytes of data, but the file holds ", data_.size(),
                 ": it is damaged, or more was appended to it"));
}

std::vector<SafetensorsEntry> Reader::read(std::map<std::string, std::string>& metadata) const {
  const json header = parse_header();
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__")
      metadata = read_metadata(value);
    else
      entries.push_back(read_entry(name, value));
  }
  check_layout(entries);
  return entries;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path) {
  entries_ = Reader(file_).read(metadata_);
}

const SafetensorsEntry* SafetensorsFile::find(const std::string& name) const {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const auto& e) { return e.name == name; });
  return found == entries_.end() ? nullptr : &*found;
}

const SafetensorsEntry& SafetensorsFile::at(const std::string& name) const {
  if (const auto* const entry = find(name)) return *entry;
  constexpr std::size_t most = 30;
  std::string names = entries_.empty() ? "none" : "";
  for (std::size_t i = 0; i < std::min(entries_.size(), most); ++i)
    names += message(i == 0 ? "" : ", ", shown(entries_[i].name));
  if (entries_.size() > most) names += message(" and ", entries_.size() - most, " more");
  throw Error(Errc::NotFound,
              message("safetensors file ", path(), " has no tensor ", shown(name), ": it holds ", names));
}

}  // namespace halftone
