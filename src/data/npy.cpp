#include "halftone/data/npy.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "data/tsv.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/file.hpp"

namespace halftone {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view kMagic = "\x93NUMPY";

struct Header {
  at::ScalarType type = at::kFloat;
  std::size_t element_bytes = 0;
  bool swapped = false;  ///< big-endian
  bool fortran = false;
  std::vector<std::int64_t> shape;
};

/// One file's checks. The header is a Python dictionary of three keys, read by a parser that knows no more than these.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : path_(path), file_(path) {}

  at::Tensor read() {
    const std::span<const std::byte> data = find_header();
    const Header header = parse();
    return to_tensor(header, data);
  }

 private:
  template <class... Why>
  [[noreturn]] void fail(const Why&... why) const {
    throw Error(Errc::BadFile, message("array ", path_, ": ", why...));
  }

  std::span<const std::byte> find_header();
  Header parse();
  at::Tensor to_tensor(const Header& header, std::span<const std::byte> data) const;
  std::size_t byte_count(const Header& header) const;

  void expect(std::string_view token);
  bool accept(std::string_view token);
  std::string_view text();
  bool boolean();
  std::int64_t number();
  std::vector<std::int64_t> shape();
  void set_type(Header& header, std::string_view text) const;

  std::filesystem::path path_;
  MappedFile file_;
  std::string_view header_;
  std::string_view rest_;  ///< of the header, not read yet
};

/// Sets the header; gives the bytes behind it.
std::span<const std::byte> Reader::find_header() {
  const auto bytes = file_.bytes();
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!all.starts_with(kMagic) || all.size() < 10) fail("it does not begin as a .npy file does; is it one?");
  const int version = static_cast<unsigned char>(all[6]);
  if (version < 1 || version > 3 || all[7] != 0) fail("its version is ", version, ": 1 to 3 are read");
  const std::size_t length_bytes = version == 1 ? 2 : 4;
  const std::size_t begin = kMagic.size() + 2 + length_bytes;
  if (all.size() < begin) fail("it ends inside its header");
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i)
    length |= static_cast<std::size_t>(static_cast<unsigned char>(all[begin - length_bytes + i])) << (8 * i);
  if (length > all.size() - begin)
    fail("its header has ", length, " bytes, and ", all.size() - begin, " follow: it is cut short");
  header_ = rest_ = all.substr(begin, length);
  return bytes.subspan(begin + length);
}

/// Passes over blanks, then over `token` where it is next.
bool Reader::accept(std::string_view token) {
  rest_.remove_prefix(std::min(rest_.find_first_not_of(" \n"), rest_.size()));
  if (!rest_.starts_with(token)) return false;
  rest_.remove_prefix(token.size());
  return true;
}

void Reader::expect(std::string_view token) {
  if (!accept(token))
    fail("its header ", internal::quoted(header_), " has no ", token, " at byte ", header_.size() - rest_.size(),
         ": {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} is its form");
}

std::string_view Reader::text() {
  expect("'");
  const auto end = rest_.find('\'');
  if (end == rest_.npos) expect("'");
  const std::string_view text = rest_.substr(0, end);
  rest_.remove_prefix(end + 1);
  return text;
}

bool Reader::boolean() {
  if (accept("True")) return true;
  expect("False");
  return false;
}

std::int64_t Reader::number() {
  accept("");
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), number);
  if (error != std::errc{} || number < 0) fail("its header ", internal::quoted(header_), " has a size that is none");
  rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
  return number;
}

std::vector<std::int64_t> Reader::shape() {
  constexpr std::size_t kMostDimensions = 64;  // NumPy's own limit
  std::vector<std::int64_t> shape;
  expect("(");
  while (!accept(")")) {
    shape.push_back(number());
    if (shape.size() > kMostDimensions) fail("it has more than ", kMostDimensions, " dimensions");
    if (accept(",")) continue;
    if (shape.size() == 1) expect(",");  // (3) is a number
    expect(")");
    break;
  }
  return shape;
}

void Reader::set_type(Header& header, std::string_view text) const {
  static constexpr std::array<std::pair<std::string_view, at::ScalarType>, 9> kTypes{{{"b1", at::kBool},
                                                                                      {"u1", at::kByte},
                                                                                      {"i1", at::kChar},
                                                                                      {"i2", at::kShort},
                                                                                      {"i4", at::kInt},
                                                                                      {"i8", at::kLong},
                                                                                      {"f2", at::kHalf},
                                                                                      {"f4", at::kFloat},
                                                                                      {"f8", at::kDouble}}};
  const char order = text.empty() ? '\0' : text.front();
  const auto* const known = std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& type) {
    return text.substr(std::min<std::size_t>(1, text.size())) == type.first;
  });
  const bool ordered = known != kTypes.end() && (order == '<' || order == '>' || (order == '|' && text[2] == '1'));
  if (!ordered)
    throw Error(Errc::Unsupported, message("array ", path_, ": type ", internal::quoted(text), " is not read: bool, ",
                                           "uint8, int8 to int64 and float16 to float64 are; convert it"));
  header.type = known->second;
  header.element_bytes = static_cast<std::size_t>(text[2] - '0');
  header.swapped = order == '>' && header.element_bytes > 1;
}

Header Reader::parse() {
  Header header;
  std::vector<std::string_view> seen;
  expect("{");
  while (!accept("}")) {
    const std::string_view key = text();
    if (std::find(seen.begin(), seen.end(), key) != seen.end())
      fail("its header has ", internal::quoted(key), " twice");
    seen.push_back(key);
    expect(":");
    if (key == "descr")
      set_type(header, text());
    else if (key == "fortran_order")
      header.fortran = boolean();
    else if (key == "shape")
      header.shape = shape();
    else
      fail("its header has an unknown key ", internal::quoted(key));
    if (accept(",")) continue;
    expect("}");
    break;
  }
  accept("");
  if (seen.size() != 3 || !rest_.empty())
    fail("its header ", internal::quoted(header_), " must hold descr, fortran_order and shape, and nothing else");
  return header;
}

std::size_t Reader::byte_count(const Header& header) const {
  // Zeros are left out first: a shape that overflows without them would still overflow in strides.
  std::size_t bytes = header.element_bytes;
  bool empty = false;
  for (const std::int64_t size : header.shape) {
    if (size == 0)
      empty = true;
    else if (bytes > static_cast<std::size_t>(std::numeric_limits<std::int64_t>::max() / size))
      fail("its shape needs more bytes than 64 bits can count");
    else
      bytes *= static_cast<std::size_t>(size);
  }
  return empty ? 0 : bytes;
}

at::Tensor Reader::to_tensor(const Header& header, std::span<const std::byte> data) const {
  const std::size_t bytes = byte_count(header);
  if (bytes != data.size())
    fail("its shape needs ", bytes, " bytes, and ", data.size(), " follow the header: it is damaged or cut short");
  // Fortran order is C order of the dimensions from the last to the first.
  std::vector<std::int64_t> sizes = header.shape;
  if (header.fortran) std::reverse(sizes.begin(), sizes.end());
  // Any byte but 0 and 1 in a bool is undefined behaviour, so those pass through a comparison.
  const bool is_bool = header.type == at::kBool;
  at::Tensor tensor = at::empty(sizes, is_bool ? at::kByte : header.type);
  auto* const out = static_cast<std::byte*>(tensor.mutable_data_ptr());
  if (bytes > 0) std::memcpy(out, data.data(), bytes);
  for (std::size_t i = 0; header.swapped && i < bytes; i += header.element_bytes)
    std::reverse(out + i, out + i + header.element_bytes);
  if (is_bool) tensor = tensor.ne(0);
  if (!header.fortran) return tensor;
  std::vector<std::int64_t> dimensions;
  for (std::int64_t i = tensor.dim(); i-- > 0;) dimensions.push_back(i);
  return tensor.permute(dimensions).contiguous();
}

}  // namespace

at::Tensor read_npy(const std::filesystem::path& path) { return Reader(path).read(); }

std::unique_ptr<Dataset> open_npy(const std::string& files, std::size_t inputs) {
  constexpr std::string_view kTarget = "target=";
  std::vector<at::Tensor> tensors;
  at::Tensor target;
  std::string_view rest = files;
  const auto refuse = [&](const std::string& why) {
    throw Error(Errc::InvalidArgument,
                message("data \"npy:", files, "\" ", why, ": write npy:INPUT.npy, a file for each ",
                        "of the model's inputs between commas, and ,target=TARGET.npy"));
  };
  for (bool more = true; more;) {
    const auto comma = rest.find(',');
    const std::string_view file = rest.substr(0, comma);
    more = comma != rest.npos;
    rest.remove_prefix(more ? comma + 1 : rest.size());
    if (file.empty()) refuse("names no file between two commas");
    if (!file.starts_with(kTarget)) {
      tensors.push_back(read_npy(file));
      continue;
    }
    if (target.defined()) refuse("has two targets");
    target = read_npy(file.substr(kTarget.size()));
  }
  if (tensors.size() != inputs) refuse(message("names ", tensors.size(), " inputs, and the model has ", inputs));
  return make_tensor_dataset("npy:" + files, std::move(tensors), std::move(target));
}

}  // namespace halftone
