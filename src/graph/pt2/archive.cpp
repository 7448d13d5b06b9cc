#include "graph/pt2/archive.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>
#include <vector>

#include "core/quoted.hpp"
#include "core/scalar_type.hpp"
#include "graph/pt2/codes.hpp"

namespace halftone::internal::pt2 {

namespace {

constexpr std::uint64_t kMostJsonBytes = 128u << 20;
constexpr int kDeepestJson = 128;  // subgraphs hold subgraphs, six levels each
constexpr std::uint64_t kAlignment = 64;
constexpr std::uint64_t kMostRepeated = 64u << 20;  // bytes of a tensor that repeats elements of its memory

/// Form of a tensor over its memory, in elements.
struct Form {
  DType dtype = DType::Float32;
  std::vector<std::int64_t> sizes;
  std::vector<std::int64_t> strides;
  std::int64_t offset = 0;
  bool requires_grad = false;
};

std::int64_t fixed_integer(const JsonField& field) {
  const Tagged number = tagged(field);
  if (number.tag != "as_int") field.fail("stored tensors have fixed sizes: {\"as_int\": …} is needed");
  return number.value.integer(0);
}

std::vector<std::int64_t> fixed_integers(const JsonField& field) {
  std::vector<std::int64_t> numbers;
  field.each_element([&](const JsonField& element) { numbers.push_back(fixed_integer(element)); });
  return numbers;
}

Form read_form(const JsonField& meta) {
  Form form;
  form.dtype = dtype_of(meta.need("dtype"));
  form.sizes = fixed_integers(meta.need("sizes"));
  form.strides = fixed_integers(meta.need("strides"));
  form.offset = fixed_integer(meta.need("storage_offset"));
  form.requires_grad = meta.need("requires_grad").truth() && info(form.dtype).floating;
  constexpr std::int64_t kStrided = 7;
  if (meta.need("layout").integer(0) != kStrided)
    throw Error(Errc::Unsupported, message(meta.place(), " is sparse: only dense tensors are known"));
  if (form.strides.size() != form.sizes.size()) meta.fail("as many strides as sizes are needed");
  return form;
}

/// Whether `form` stays within `bytes` of memory, and repeats them no more than so far that a copy of it can be had.
bool fits(const Form& form, std::uint64_t bytes) {
  std::int64_t count = 1;
  std::int64_t last = form.offset;
  bool overflow = false;
  bool empty = false;
  for (std::size_t i = 0; i < form.sizes.size(); ++i) {
    std::int64_t step = 0;
    empty = empty || form.sizes[i] == 0;
    overflow = overflow || __builtin_mul_overflow(count, std::max<std::int64_t>(form.sizes[i], 1), &count) ||
               __builtin_mul_overflow(std::max<std::int64_t>(form.sizes[i] - 1, 0), form.strides[i], &step) ||
               __builtin_add_overflow(last, step, &last);
  }
  const std::uint64_t held = bytes / info(form.dtype).bytes;
  if (overflow || static_cast<std::uint64_t>(count) > std::numeric_limits<std::int64_t>::max() / 8) return false;
  if (!empty && static_cast<std::uint64_t>(count) > std::max(bytes, kMostRepeated) / info(form.dtype).bytes)
    return false;
  return empty ? static_cast<std::uint64_t>(form.offset) <= held : static_cast<std::uint64_t>(last) < held;
}

/// A storage over bytes of the mapping, or over a copy where they are not aligned.
c10::Storage make_storage(const std::shared_ptr<const MappedFile>& file, const ZipEntry& entry,
                          std::span<const std::byte> bytes) {
  auto* const data = const_cast<std::byte*>(bytes.data());  // a private mapping that may be written to
  const auto size = static_cast<std::int64_t>(bytes.size());
  const auto options = at::TensorOptions().dtype(at::kByte);
  if (entry.offset % kAlignment != 0 || size == 0) {
    const at::Tensor copy = at::empty({size}, options);
    std::copy(bytes.begin(), bytes.end(), static_cast<std::byte*>(copy.mutable_data_ptr()));
    return copy.storage();
  }
  return at::from_blob(
             data, {size}, [file](void*) {}, options)
      .storage();
}

/// Makes tensors over the memory of an archive. What has one memory and one form is one tensor: tied weights.
class TensorReader {
 public:
  TensorReader(std::shared_ptr<const MappedFile> file, const ZipIndex& zip, std::string folder, bool verify)
      : file_(std::move(file)), zip_(zip), folder_(std::move(folder)), verify_(verify) {}

  StoredTensor read(const JsonField& payload) {
    if (payload.need("use_pickle").truth())
      throw Error(Errc::Unsupported, message(payload.place(), " is a pickled object: only plain tensors are known"));
    const std::string path = payload.need("path_name").text();
    const Form form = read_form(payload.need("tensor_meta"));
    const std::size_t bytes = zip_.bytes(folder_ + path).size();
    if (!fits(form, bytes))
      throw Error(Errc::BadFile, message(payload.place(), " has sizes ", at::IntArrayRef(form.sizes), " and strides ",
                                         at::IntArrayRef(form.strides), " from element ", form.offset, " of ",
                                         info(form.dtype).name, ", which do not fit its ", bytes, " bytes"));
    StoredTensor stored;
    stored.is_parameter = payload.need("is_param").truth();
    stored.tensor = find_or_make(path, form);
    if (stored.is_parameter && form.requires_grad) stored.tensor.requires_grad_(true);
    return stored;
  }

 private:
  using Key = std::tuple<std::string, DType, std::vector<std::int64_t>, std::vector<std::int64_t>, std::int64_t>;

  at::Tensor find_or_make(const std::string& path, const Form& form) {
    at::Tensor& tensor = tensors_[Key(path, form.dtype, form.sizes, form.strides, form.offset)];
    if (tensor.defined()) return tensor;
    auto storage = storages_.find(path);
    if (storage == storages_.end()) {
      const ZipEntry& entry = *zip_.find(folder_ + path);
      if (verify_) zip_.verify(entry);
      storage = storages_.emplace(path, make_storage(file_, entry, zip_.bytes(entry))).first;
    }
    tensor = at::empty({0}, at::TensorOptions().dtype(to_scalar_type(form.dtype)));
    tensor.set_(storage->second, form.offset, form.sizes, form.strides);
    return tensor;
  }

  std::shared_ptr<const MappedFile> file_;
  const ZipIndex& zip_;
  std::string folder_;
  bool verify_;
  std::map<std::string, c10::Storage> storages_;
  std::map<Key, at::Tensor> tensors_;
};

}  // namespace

Archive::Archive(const std::filesystem::path& path)
    : file_(std::make_shared<const MappedFile>(path, MapAccess::WritePrivately)), zip_(file_->bytes(), path.string()) {
  find_model();
  check_format();
}

std::string Archive::place() const { return message(file_->path().string(), ", models/", shortened(name_), ".json"); }

std::string Archive::text(const std::string& name) const {
  const auto bytes = zip_.bytes(root_ + name);
  if (bytes.size() > kMostJsonBytes)
    throw Error(Errc::BadFile, message(file_->path(), ": entry ", quoted(name), " holds ", bytes.size(), " bytes, and ",
                                       kMostJsonBytes, " are allowed"));
  zip_.verify(*zip_.find(root_ + name));
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void Archive::refuse_old() const {
  throw Error(Errc::Unsupported,
              message(file_->path(),
                      " has the format of older PyTorch versions: load it with torch.export.load of PyTorch 2.13 and "
                      "save it again with torch.export.save"));
}

void Archive::find_model() {
  if (zip_.entries().empty()) throw Error(Errc::BadFile, message(file_->path(), " is an empty archive"));
  if (zip_.find("serialized_exported_program.json") != nullptr) refuse_old();
  const std::string& first = zip_.entries().front().name;
  root_ = first.substr(0, first.find('/') + 1);
  std::vector<std::string> names;
  bool is_compiled = false;
  for (const auto& entry : zip_.entries()) {
    const std::string below = entry.name.starts_with(root_) ? entry.name.substr(root_.size()) : "";
    if (below.starts_with("models/") && below.ends_with(".json")) names.push_back(below.substr(7, below.size() - 12));
    is_compiled = is_compiled || below.starts_with("data/aotinductor/");
  }
  if (names.size() != 1)
    throw Error(Errc::Unsupported,
                message(file_->path(), " holds ", names.size(), " exported programs, and one is needed: ",
                        is_compiled ? "it holds code compiled for one machine; "
                                    : "is it a file of torch.export? TorchScript and checkpoints are named x.pt; ",
                        "write it by torch.export.save(torch.export.export(…), \"x.pt2\")"));
  name_ = names[0];
}

void Archive::check_format() const {
  if (zip_.find(root_ + "data/weights/" + name_ + ".pt") != nullptr) refuse_old();
  if (zip_.find(root_ + "archive_format") == nullptr || text("archive_format") != "pt2")
    throw Error(Errc::BadFile, message(file_->path(), " does not say that its format is pt2"));
  if (zip_.find(root_ + "byteorder") != nullptr && text("byteorder") != "little")
    throw Error(Errc::Unsupported,
                message(file_->path(), " was written on a big-endian machine: only little-endian files can be read"));
}

nlohmann::json Archive::model() const { return parse_json(text("models/" + name_ + ".json"), place(), kDeepestJson); }

std::map<std::string, StoredTensor> Archive::weights(bool verify) const {
  return tensors("data/weights/", name_ + "_weights_config.json", verify);
}

std::map<std::string, StoredTensor> Archive::constants(bool verify) const {
  return tensors("data/constants/", name_ + "_constants_config.json", verify);
}

std::map<std::string, StoredTensor> Archive::tensors(const std::string& folder, const std::string& config,
                                                     bool verify) const {
  const std::string place = message(file_->path().string(), ", ", folder, shortened(config));
  const nlohmann::json json = parse_json(text(folder + config), place, kDeepestJson);
  TensorReader reader(file_, zip_, root_ + folder, verify);
  std::map<std::string, StoredTensor> result;
  JsonField(json, place).need("config").each_member([&](const std::string& name, const JsonField& payload) {
    result[name] = reader.read(payload);
  });
  return result;
}

}  // namespace halftone::internal::pt2
