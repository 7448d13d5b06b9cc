#include "data/torch_pickle.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "core/quoted.hpp"
#include "data/tensor_dictionaries.hpp"
#include "data/torch_globals.hpp"
#include "halftone/core/error.hpp"

// Source: torch/_utils.py and torch/serialization.py of PyTorch: which functions a tensor is written as, and their
// arguments.

namespace halftone::internal {
namespace {

using Kind = PickleNode::Kind;

constexpr std::size_t kMostDimensions = 64;  // as LibTorch has it
constexpr std::size_t kMostTensors = 100'000;
constexpr std::size_t kLongestKey = 256;  // of a storage: a number, as torch.save has it

/// A storage, or a part of one, as tensors refer to it.
struct StorageView {
  std::string key;
  const StorageType* type = nullptr;
  std::uint64_t bytes = 0;  ///< of the whole storage
  std::int64_t offset = 0;  ///< of the part, in elements
};

class StateDictReader {
 public:
  StateDictReader(const PickleDocument& document, const StateDictRequest& request)
      : document_(document), request_(request) {}

  StoredStateDict read();

 private:
  [[noreturn]] void fail(const std::string& what, Errc code = Errc::BadFile) const {
    throw Error(code, message(request_.where, ": ", what));
  }
  [[noreturn]] void fail(std::string_view tensor, const std::string& what, Errc code = Errc::BadFile) const {
    fail(message("tensor ", internal::quoted(tensor), ": ", what), code);
  }

  StorageView read_storage(const PickleNode& reference) const;
  void collect_storages();
  StoredTensor read_tensor(std::string_view name, PickleValue value) const;
  StoredTensor read_dense(std::string_view name, std::string_view callee,
                          const std::vector<PickleValue>& arguments) const;
  DType read_dtype(std::string_view name, const StorageView& storage, const std::vector<PickleValue>& arguments,
                   bool names_dtype) const;
  std::vector<std::int64_t> read_sizes(std::string_view name, const PickleValue& value) const;
  void check_extent(const StoredTensor& tensor, std::uint64_t storage_bytes) const;

  const PickleDocument& document_;
  const StateDictRequest& request_;
  StoredStateDict result_;
};

/// ("storage", class, key, device, number of elements), and, in the older form, a part: (key, offset, number).
StorageView StateDictReader::read_storage(const PickleNode& reference) const {
  const PickleNode* const id = node_of(reference.items[0], Kind::Tuple);
  if (id == nullptr || id->items.size() < 5 || id->items.size() > 6 || text_of(id->items[0]) != "storage")
    fail("a reference into the file is none to a storage: save module.state_dict() alone");
  const PickleNode* const type = node_of(id->items[1], Kind::Global);
  const auto key = text_of(id->items[2]);
  const auto* const count = std::get_if<std::int64_t>(&id->items[4]);
  if (type == nullptr || !key || count == nullptr) fail("a reference to a storage is malformed: the file is damaged");
  if (key->size() > kLongestKey) fail(message("the key of a storage is longer than ", kLongestKey, " bytes"));
  StorageView view{.key = std::string(*key), .type = storage_type(type->name)};
  if (view.type == nullptr)
    fail(message("storage ", internal::quoted(*key), " is a ", type->name, ", which is no kind of storage"),
         Errc::Unsupported);
  const auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / view.type->element_bytes;
  if (*count < 0 || static_cast<std::uint64_t>(*count) > most)
    fail(message("storage ", internal::quoted(*key), " has ", *count, " elements: 0 to ", most, " are possible"));
  view.bytes = static_cast<std::uint64_t>(*count) * view.type->element_bytes;
  if (id->items.size() == 5 || std::holds_alternative<std::monostate>(id->items[5])) return view;
  const PickleNode* const part = node_of(id->items[5], Kind::Tuple);
  const auto* const offset =
      part == nullptr || part->items.size() != 3 ? nullptr : std::get_if<std::int64_t>(&part->items[1]);
  if (offset == nullptr || *offset < 0 || *offset > *count)
    fail(message("a part of storage ", internal::quoted(*key), " does not begin inside it: the file is damaged"));
  view.offset = *offset;
  return view;
}

void StateDictReader::collect_storages() {
  for (const auto& node : document_.nodes) {
    if (node.kind != Kind::Persistent) continue;
    const StorageView view = read_storage(node);
    const StoredStorage storage{.bytes = view.bytes, .element_bytes = view.type->element_bytes};
    const auto [known, is_new] = result_.storages.emplace(view.key, storage);
    if (!is_new && known->second.bytes != view.bytes)
      fail(message("storage ", internal::quoted(view.key), " has ", known->second.bytes, " bytes in one place and ",
                   view.bytes, " in another: the file is damaged"));
  }
}

/// A tuple, or torch.Size of one.
std::vector<std::int64_t> StateDictReader::read_sizes(std::string_view name, const PickleValue& value) const {
  const PickleNode* tuple = node_of(value, Kind::Tuple);
  if (callee_of(value) == "torch.Size" && arguments_of(value).size() == 1)
    tuple = node_of(arguments_of(value)[0], Kind::Tuple);
  if (tuple == nullptr) fail(name, "sizes or strides are no tuple: the file is damaged");
  if (tuple->items.size() > kMostDimensions)
    fail(name, message("has ", tuple->items.size(), " dimensions, and ", kMostDimensions, " are possible"));
  std::vector<std::int64_t> sizes;
  for (const auto& item : tuple->items) {
    const auto* const size = std::get_if<std::int64_t>(&item);
    if (size == nullptr || *size < 0) fail(name, "a size or stride is no integer from 0 to 2^63-1");
    sizes.push_back(*size);
  }
  return sizes;
}

DType StateDictReader::read_dtype(std::string_view name, const StorageView& storage,
                                  const std::vector<PickleValue>& arguments, bool names_dtype) const {
  std::optional<DType> dtype = storage.type->dtype;
  std::string said(storage.type->name);
  if (names_dtype) {
    const PickleNode* const global = node_of(arguments[6], Kind::Global);
    said = global == nullptr ? "something else" : global->name;
    dtype = torch_dtype(said);
  }
  if (dtype) return *dtype;
  std::string allowed;
  for (const auto& known : kDTypes) allowed += message(allowed.empty() ? "" : ", ", known.name);
  fail(name, message("its type is ", internal::quoted(said), ", which cannot be read: use one of ", allowed),
       Errc::Unsupported);
}

/// Elements and their place, without overflow on the way.
void StateDictReader::check_extent(const StoredTensor& tensor, std::uint64_t storage_bytes) const {
  const std::uint64_t element = info(tensor.dtype).bytes;
  const bool empty = std::find(tensor.shape.begin(), tensor.shape.end(), 0) != tensor.shape.end();
  constexpr auto kMostStrides = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  const std::uint64_t most = (empty ? kMostStrides : request_.most_bytes) / element;
  const auto stored = static_cast<std::int64_t>(storage_bytes / element);
  std::uint64_t count = 1;
  std::int64_t last = tensor.offset;  // element
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    if (tensor.shape[i] == 0) continue;
    const auto size = static_cast<std::uint64_t>(tensor.shape[i]);
    if (count > most / size)
      fail(tensor.name, "has far more elements than the file: call contiguous() before it is saved");
    count *= size;
    const std::int64_t steps = tensor.shape[i] - 1;
    if (steps > 0 && tensor.strides[i] > (std::numeric_limits<std::int64_t>::max() - last) / steps)
      fail(tensor.name, "its strides lead further than 64 bits can count");
    last += steps * tensor.strides[i];
  }
  if (!empty && last >= stored)
    fail(tensor.name, message("its last element is number ", last, " of storage ", internal::quoted(tensor.storage),
                              ", which has ", stored, ": the file is damaged"));
}

/// (storage, offset, sizes, strides), in later versions (…, requires_grad, hooks[, dtype][, metadata]).
StoredTensor StateDictReader::read_dense(std::string_view name, std::string_view callee,
                                         const std::vector<PickleValue>& arguments) const {
  const bool names_dtype = callee == "torch._utils._rebuild_tensor_v3";
  const PickleNode* const reference =
      arguments.size() < (names_dtype ? 7 : 4) ? nullptr : node_of(arguments[0], Kind::Persistent);
  if (reference == nullptr) fail(name, "is made of no storage: the file is damaged");
  const StorageView storage = read_storage(*reference);
  const auto* const offset = std::get_if<std::int64_t>(&arguments[1]);
  const auto room = static_cast<std::int64_t>(storage.bytes);  // no element lies further
  if (offset == nullptr || *offset < 0 || *offset > room - storage.offset)
    fail(name,
         message("its offset does not lie inside storage ", internal::quoted(storage.key), ": the file is damaged"));
  const std::size_t metadata = names_dtype ? 7 : 6;
  if (arguments.size() > metadata && !std::holds_alternative<std::monostate>(arguments[metadata])) {
    const PickleNode* const flags = node_of(arguments[metadata], Kind::Dict);
    if (flags == nullptr || !flags->items.empty())
      fail(name, "is a conjugate or negative view: call resolve_conj() and resolve_neg() before it is saved",
           Errc::Unsupported);
  }
  StoredTensor tensor;
  tensor.name = name;
  tensor.dtype = read_dtype(name, storage, arguments, names_dtype);
  tensor.storage = storage.key;
  tensor.offset = storage.offset + *offset;
  tensor.shape = read_sizes(name, arguments[2]);
  tensor.strides = read_sizes(name, arguments[3]);
  if (tensor.shape.size() != tensor.strides.size())
    fail(name, message("has ", tensor.shape.size(), " sizes and ", tensor.strides.size(), " strides"));
  check_extent(tensor, storage.bytes);
  return tensor;
}

/// Parameters and subclasses are calls that hold the call which makes the tensor.
StoredTensor StateDictReader::read_tensor(std::string_view name, PickleValue value) const {
  constexpr int kMostWrappers = 4;
  for (int i = 0; i < kMostWrappers; ++i) {
    std::string_view callee = callee_of(value);
    if (callee.empty()) break;
    const std::vector<PickleValue>* arguments = &arguments_of(value);
    if (callee.starts_with("torch._utils._rebuild_parameter") && !arguments->empty()) {
      value = arguments->front();
      continue;
    }
    if (callee == "torch._tensor._rebuild_from_type_v2" && arguments->size() == 4) {
      const PickleNode* const inner = node_of((*arguments)[0], Kind::Global);
      const PickleNode* const tuple = node_of((*arguments)[2], Kind::Tuple);
      if (inner == nullptr || tuple == nullptr) break;
      callee = inner->name;
      arguments = &tuple->items;
    }
    if (callee.starts_with("torch._utils._rebuild_tensor")) return read_dense(name, callee, *arguments);
    fail(name, message("is made by ", callee, ": only dense tensors can be read"), Errc::Unsupported);
  }
  fail(name, "is no tensor that can be read: the file is damaged");
}

StoredStateDict StateDictReader::read() {
  collect_storages();
  const auto& items = choose_dictionary(document_, request_.dictionary, request_.where).items;
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < items.size(); i += 2) {
    if (!is_tensor(items[i + 1])) continue;
    const std::string_view name = *text_of(items[i]);
    if (!names.insert(name).second) fail(name, "is there twice: the file is damaged");
    if (names.size() > kMostTensors) fail(message("holds more than ", kMostTensors, " tensors"));
    result_.tensors.push_back(read_tensor(name, items[i + 1]));
  }
  return std::move(result_);
}

}  // namespace

StoredStateDict find_state_dict(const PickleDocument& document, const StateDictRequest& request) {
  return StateDictReader(document, request).read();
}

}  // namespace halftone::internal
