#include "halftone/data/torch_file.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <span>
#include <string_view>
#include <utility>

#include "core/quoted.hpp"
#include "core/scalar_type.hpp"
#include "data/file_form.hpp"
#include "data/torch_globals.hpp"
#include "data/torch_pickle.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/file.hpp"
#include "halftone/core/zip_index.hpp"

namespace halftone {
namespace {

using internal::PickleDocument;
using internal::PickleNode;
using Bytes = std::span<const std::byte>;

/// The layout of tensors, and for each storage its bytes in the file.
struct Content {
  internal::StoredStateDict stored;
  std::map<std::string, Bytes> storages;
};

/// One file's checks; every failure names the file.
class Reader {
 public:
  Reader(const std::filesystem::path& path, Bytes file, const std::string& dictionary)
      : path_(path.string()), where_(message("torch file ", path)), file_(file) {
    request_.where = where_;
    request_.dictionary = dictionary;
    request_.most_bytes = std::max<std::uint64_t>(file.size(), kSmallFile);  // views may repeat elements
  }

  Content read() const;

 private:
  static constexpr std::uint64_t kSmallFile = 1u << 20;

  [[noreturn]] void fail(const std::string& what, Errc code = Errc::BadFile) const {
    throw Error(code, message(where_, ": ", what));
  }

  PickleDocument unpickle(Bytes bytes) const {
    return internal::read_pickle(bytes, {.where = where_, .is_allowed = internal::is_torch_global});
  }
  Content read_zip() const;
  std::string stem_of(const ZipIndex& archive) const;
  Content read_legacy() const;
  void check_legacy_header(Bytes& rest) const;
  std::map<std::string, Bytes> find_legacy_storages(const PickleDocument& keys, Bytes rest,
                                                    const internal::StoredStateDict& stored) const;

  std::string path_;
  std::string where_;
  Bytes file_;
  internal::StateDictRequest request_;
};

Content Reader::read() const {
  using internal::FileForm;
  switch (internal::form_of(file_, path_)) {
    case FileForm::TorchSave:
      return read_zip();
    case FileForm::TorchSaveOld:
      return read_legacy();
    case FileForm::TorchSaveTar:
      fail("is in the form of PyTorch before 0.1.10: load it with torch.load there, and save it again",
           Errc::Unsupported);
    case FileForm::TorchScript:
      fail("is a TorchScript archive, not a state dict: give it as MODEL by itself, x.pt", Errc::Unsupported);
    case FileForm::TorchExport:
      fail("is an archive of torch.export, not a state dict: give it as MODEL by itself, x.pt2", Errc::Unsupported);
    case FileForm::Safetensors:
    case FileForm::Unknown:
      break;
  }
  fail("is neither a zip archive with data.pkl nor a pickle stream: torch.save did not write it");
}

std::string_view text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// "model" of "model/data.pkl", which all names of the archive begin with.
std::string Reader::stem_of(const ZipIndex& archive) const {
  constexpr std::string_view kPickle = "/data.pkl";
  for (const auto& entry : archive.entries())
    if (entry.name.ends_with(kPickle) && entry.name.find('/') == entry.name.size() - kPickle.size())
      return entry.name.substr(0, entry.name.size() - kPickle.size());
  fail("has no data.pkl in its first folder: torch.save did not write it");
}

Content Reader::read_zip() const {
  const ZipIndex archive(file_, path_);
  const std::string stem = stem_of(archive);
  const auto checked = [&](const ZipEntry& entry) {
    archive.verify(entry);
    return archive.bytes(entry);
  };
  if (const auto* const order = archive.find(stem + "/byteorder"))
    if (text_of(checked(*order)) != "little")
      fail(message("its numbers are in byte order ", internal::quoted(text_of(archive.bytes(*order))),
                   ": only \"little\" can be read"),
           Errc::Unsupported);
  const PickleDocument document = unpickle(checked(*archive.find(stem + "/data.pkl")));
  Content content{.stored = internal::find_state_dict(document, request_), .storages = {}};
  for (const auto& tensor : content.stored.tensors) {
    if (content.storages.contains(tensor.storage)) continue;
    const auto* const entry = archive.find(stem + "/data/" + tensor.storage);
    if (entry == nullptr) fail(message("storage ", internal::quoted(tensor.storage), " is not in the archive"));
    const Bytes bytes = checked(*entry);
    const auto expected = content.stored.storages.at(tensor.storage).bytes;
    if (bytes.size() != expected)
      fail(message("storage ", internal::quoted(tensor.storage), " has ", bytes.size(), " bytes in the archive, and ",
                   expected, " for its tensors: the file is damaged"));
    content.storages.emplace(tensor.storage, bytes);
  }
  return content;
}

/// Before the object: a magic number, the version of the form, and the machine that wrote it.
void Reader::check_legacy_header(Bytes& rest) const {
  constexpr std::string_view kMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
  constexpr std::int64_t kVersion = 1001;
  const auto next = [&] {
    PickleDocument document = unpickle(rest);
    rest = rest.subspan(document.size);
    return document;
  };
  const PickleDocument first = next();
  const auto* const magic = std::get_if<internal::PickleBytes>(&first.root);
  if (magic == nullptr || magic->bytes != kMagic)
    fail(
        "is a plain pickle, without the magic number of torch.save: load it in a Python that trusts it and write "
        "torch.save(module.state_dict(), path)");
  const PickleDocument second = next();
  const auto* const version = std::get_if<std::int64_t>(&second.root);
  if (version == nullptr || *version != kVersion)
    fail(message("its form is not version ", kVersion), Errc::Unsupported);
  const PickleDocument machine = next();
  const PickleNode* const facts = internal::node_of(machine.root, PickleNode::Kind::Dict);
  if (facts == nullptr) fail("does not say which machine wrote it: the file is damaged");
  for (std::size_t i = 0; i < facts->items.size(); i += 2) {
    const auto* const key = std::get_if<internal::PickleText>(&facts->items[i]);
    const auto* const little = std::get_if<bool>(&facts->items[i + 1]);
    if (key != nullptr && key->text == "little_endian" && (little == nullptr || !*little))
      fail("its numbers are big-endian: only little-endian ones can be read", Errc::Unsupported);
  }
}

/// After the object: a list of keys, then for each its number of elements, 8 bytes, and the elements.
std::map<std::string, Bytes> Reader::find_legacy_storages(const PickleDocument& keys, Bytes rest,
                                                          const internal::StoredStateDict& stored) const {
  constexpr std::size_t kCountBytes = 8;
  const PickleNode* const list = internal::node_of(keys.root, PickleNode::Kind::List);
  if (list == nullptr) fail("has no list of storages after its object: the file is damaged");
  std::map<std::string, Bytes> storages;
  for (const auto& item : list->items) {
    const auto* const text = std::get_if<internal::PickleText>(&item);
    if (text == nullptr) fail("the key of a storage is no text: the file is damaged");
    const std::string key(text->text);
    const auto storage = stored.storages.find(key);
    if (storage == stored.storages.end())
      fail(message("storage ", internal::quoted(key), " belongs to no tensor: the file is damaged"));
    if (rest.size() < kCountBytes || rest.size() - kCountBytes < storage->second.bytes)
      fail(message("storage ", internal::quoted(key), " needs ", storage->second.bytes, " bytes, and ", rest.size(),
                   " follow: the file is cut short"));
    std::uint64_t count = 0;
    for (std::size_t i = kCountBytes; i-- > 0;) count = count << 8 | std::to_integer<std::uint64_t>(rest[i]);
    if (count != storage->second.bytes / storage->second.element_bytes)
      fail(message("storage ", internal::quoted(key), " has ", count, " elements, and its tensors say otherwise"));
    if (!storages.emplace(key, rest.subspan(kCountBytes, storage->second.bytes)).second)
      fail(message("storage ", internal::quoted(key), " is there twice: the file is damaged"));
    rest = rest.subspan(kCountBytes + storage->second.bytes);
  }
  if (!rest.empty()) fail(message(rest.size(), " bytes follow the last storage: the file is damaged"));
  return storages;
}

Content Reader::read_legacy() const {
  Bytes rest = file_;
  check_legacy_header(rest);
  const PickleDocument document = unpickle(rest);
  rest = rest.subspan(document.size);
  const PickleDocument keys = unpickle(rest);
  rest = rest.subspan(keys.size);
  Content content{.stored = internal::find_state_dict(document, request_), .storages = {}};
  content.storages = find_legacy_storages(keys, rest, content.stored);
  for (const auto& tensor : content.stored.tensors)
    if (!content.storages.contains(tensor.storage))
      fail(message("storage ", internal::quoted(tensor.storage), " is not in the file"));
  return content;
}

/// Copies each storage once.
std::vector<StateTensor> make_tensors(const Content& content) {
  std::map<std::string, at::Tensor> storages;
  std::vector<StateTensor> tensors;
  for (const auto& stored : content.stored.tensors) {
    at::Tensor& memory = storages[stored.storage];
    if (!memory.defined()) {
      const Bytes bytes = content.storages.at(stored.storage);
      memory = at::empty({static_cast<std::int64_t>(bytes.size())}, at::kByte);
      if (!bytes.empty()) std::memcpy(memory.data_ptr(), bytes.data(), bytes.size());
    }
    const auto type = internal::to_scalar_type(stored.dtype);
    const bool empty = std::find(stored.shape.begin(), stored.shape.end(), 0) != stored.shape.end();
    at::Tensor tensor = at::empty(empty ? at::IntArrayRef(stored.shape) : at::IntArrayRef(0), type);
    if (!empty) tensor.set_(memory.storage(), stored.offset, stored.shape, stored.strides);
    tensors.push_back({stored.name, std::move(tensor)});
  }
  return tensors;
}

/// What wrappers of a module put before the names of its tensors: torch.nn.DataParallel, torch.compile.
void strip_wrappers(std::vector<StateTensor>& tensors) {
  constexpr std::array<std::string_view, 2> kPrefixes{"module.", "_orig_mod."};
  const auto all_begin_with = [&](std::string_view prefix) {
    return std::all_of(tensors.begin(), tensors.end(), [&](const auto& t) { return t.name.starts_with(prefix); });
  };
  for (bool stripped = !tensors.empty(); stripped;) {
    const auto* const prefix = std::find_if(kPrefixes.begin(), kPrefixes.end(), all_begin_with);
    stripped = prefix != kPrefixes.end();
    if (!stripped) return;
    for (auto& tensor : tensors) tensor.name.erase(0, prefix->size());
  }
}

}  // namespace

std::vector<StateTensor> read_state_dict(const std::filesystem::path& path, const std::string& dictionary) {
  const MappedFile file(path);
  std::vector<StateTensor> tensors = make_tensors(Reader(path, file.bytes(), dictionary).read());
  strip_wrappers(tensors);
  return tensors;
}

}  // namespace halftone
