#include "data/torch_pickle.hpp"

#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "data/torch_globals.hpp"
#include "failure.hpp"

using namespace halftone;
using namespace halftone::internal;
using Catch::Contains;

namespace {

// Parts of a pickle stream, written by hand.

std::string text(const std::string& content) {
  return std::string("\x8c") + static_cast<char>(content.size()) + content;
}

std::string number(std::int64_t value) {
  std::string stream = "\x8a\x08";
  for (int shift = 0; shift < 64; shift += 8)
    stream += static_cast<char>(static_cast<std::uint64_t>(value) >> shift & 0xff);
  return stream;
}

std::string tuple(const std::vector<std::string>& items) {
  std::string stream = "(";
  for (const auto& item : items) stream += item;
  return stream + 't';
}

std::string dict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string stream = "}(";
  for (const auto& [key, value] : items) stream += text(key) + value;
  return stream + 'u';
}

std::string sizes(const std::vector<std::int64_t>& numbers) {
  std::vector<std::string> items;
  for (const auto value : numbers) items.push_back(number(value));
  return tuple(items);
}

std::string global(const std::string& module, const std::string& name) { return 'c' + module + '\n' + name + '\n'; }

std::string storage(const std::string& key, std::int64_t count, const std::string& part = "N",
                    const std::string& type = global("torch", "FloatStorage")) {
  return tuple({text("storage"), type, text(key), text("cuda:0"), number(count), part}) + 'Q';
}

std::string tensor(const std::string& stored, std::int64_t offset, const std::string& shape,
                   const std::string& strides) {
  return global("torch._utils", "_rebuild_tensor") + tuple({stored, number(offset), shape, strides}) + 'R';
}

/// What is found in a stream of `root`.
StoredStateDict find(const std::string& root, const std::string& dictionary = {}) {
  const std::string stream = "\x80\x02" + root + '.';
  const PickleDocument document =
      read_pickle(std::as_bytes(std::span(stream)), {.where = "file", .is_allowed = is_torch_global});
  return find_state_dict(document, {.where = "file", .dictionary = dictionary, .most_bytes = 1 << 20});
}

StoredTensor one(const std::string& value) { return find(dict({{"w", value}})).tensors.at(0); }

std::string refusal(const std::string& value, Errc code = Errc::BadFile) {
  const Failure bad = failure([&] { one(value); });
  CHECK(bad.code == code);
  return bad.text;
}

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

}  // namespace

TEST_CASE("a tensor is read as a view of a storage, whatever the device") {
  const StoredStateDict found = find(dict({{"w", tensor(storage("7", 24), 4, sizes({2, 3}), sizes({3, 1}))}}));
  REQUIRE(found.tensors.size() == 1);
  const StoredTensor& w = found.tensors[0];
  CHECK(w.name == "w");
  CHECK(w.dtype == DType::Float32);
  CHECK(w.storage == "7");
  CHECK(w.offset == 4);
  CHECK(w.shape == std::vector<std::int64_t>{2, 3});
  CHECK(w.strides == std::vector<std::int64_t>{3, 1});
  REQUIRE(found.storages.size() == 1);
  CHECK(found.storages.at("7").bytes == 96);
  CHECK(found.storages.at("7").element_bytes == 4);
}

TEST_CASE("storages of a device and parts of storages, as old files have them, are read") {
  const auto cuda = one(tensor(storage("0", 4, "N", global("torch.cuda", "HalfStorage")), 0, sizes({4}), sizes({1})));
  CHECK(cuda.dtype == DType::Float16);
  const std::string part = tuple({text("9"), number(10), number(5)});
  CHECK(one(tensor(storage("0", 15, part), 2, sizes({3}), sizes({1}))).offset == 12);
  CHECK_THAT(refusal(tensor(storage("0", 15, part), 3, sizes({3}), sizes({1}))), Contains("number 15"));
  CHECK_THAT(refusal(tensor(storage("0", 9, part), 0, sizes({1}), sizes({1}))), Contains("does not begin inside"));
  const std::string before = tuple({text("9"), number(-1), number(5)});
  CHECK_THAT(refusal(tensor(storage("0", 9, before), 0, sizes({1}), sizes({1}))), Contains("does not begin inside"));
}

TEST_CASE("places outside a storage are refused without overflow") {
  const std::string stored = storage("0", 12);
  CHECK(one(tensor(stored, 11, sizes({1}), sizes({1}))).offset == 11);
  CHECK(one(tensor(stored, 11, sizes({1, 1}), sizes({kMost, kMost}))).offset == 11);
  CHECK(one(tensor(stored, 0, sizes({0, 1 << 30}), sizes({1, 1}))).shape[0] == 0);
  CHECK_THAT(refusal(tensor(stored, 12, sizes({1}), sizes({1}))), Contains("number 12"));
  CHECK_THAT(refusal(tensor(stored, 0, sizes({}), sizes({1}))), Contains("0 sizes and 1 strides"));
  CHECK_THAT(refusal(tensor(stored, 1, sizes({3, 4}), sizes({4, 1}))), Contains("number 12"));
  CHECK_THAT(refusal(tensor(stored, kMost, sizes({1}), sizes({1}))), Contains("offset"));
  CHECK_THAT(refusal(tensor(stored, -1, sizes({1}), sizes({1}))), Contains("offset"));
  CHECK_THAT(refusal(tensor(stored, 0, sizes({2}), sizes({-1}))), Contains("from 0"));
  CHECK_THAT(refusal(tensor(stored, 0, sizes({-2}), sizes({1}))), Contains("from 0"));
  CHECK_THAT(refusal(tensor(stored, 2, sizes({2}), sizes({kMost}))), Contains("64 bits"));
  CHECK_THAT(refusal(tensor(stored, 0, sizes({3, 3}), sizes({kMost / 3, kMost / 2}))), Contains("64 bits"));
  CHECK_THAT(refusal(tensor(stored, 0, sizes({1 << 20, 1 << 20}), sizes({0, 0}))), Contains("more elements"));
  CHECK_THAT(refusal(tensor(stored, 0, sizes({kMost, kMost, 0}), sizes({0, 0, 0}))), Contains("more elements"));
  CHECK_THAT(refusal(tensor(stored, 0, sizes(std::vector<std::int64_t>(65, 1)), sizes({}))), Contains("65 dimensions"));
}

TEST_CASE("malformed references are refused") {
  const auto refused = [](const std::string& stored, Errc code = Errc::BadFile) {
    return refusal(tensor(stored, 0, sizes({1}), sizes({1})), code);
  };
  CHECK_THAT(refused(storage("0", -1)), Contains("has -1 elements"));
  CHECK_THAT(refused(storage("0", kMost)), Contains("elements: 0 to"));
  CHECK_THAT(refused(storage("0", 1, "N", global("torch", "Size")), Errc::Unsupported), Contains("no kind of storage"));
  CHECK_THAT(refused(storage("0", 1, "N", number(1))), Contains("malformed"));
  CHECK_THAT(refused(number(1) + "Q"), Contains("none to a storage"));
  CHECK_THAT(refused(tuple({text("module")}) + "Q"), Contains("none to a storage"));
  CHECK_THAT(refused(number(1)), Contains("made of no storage"));
  CHECK_THAT(refused(tuple({storage("0", 1), storage("0", 2)})), Contains("4 bytes in one place and 8 in another"));
  CHECK_THAT(refusal(global("torch._utils", "_rebuild_tensor_v2") + ")R"), Contains("made of no storage"));
  CHECK_THAT(refusal(global("torch._utils", "_rebuild_parameter") + ")R", Errc::Unsupported), Contains("is made by"));
}

TEST_CASE("calls in calls end") {
  std::string value = tensor(storage("0", 1), 0, sizes({1}), sizes({1}));
  for (int i = 0; i < 3; ++i) value = global("torch._utils", "_rebuild_parameter") + tuple({value}) + 'R';
  CHECK(one(value).shape == std::vector<std::int64_t>{1});
  for (int i = 0; i < 3; ++i) value = global("torch._utils", "_rebuild_parameter") + tuple({value}) + 'R';
  CHECK_THAT(refusal(value), Contains("no tensor that can be read"));
}

TEST_CASE("a name twice, and dictionaries too deep, are not taken") {
  const std::string w = tensor(storage("0", 1), 0, sizes({1}), sizes({1}));
  CHECK_THAT(failure([&] { find(dict({{"w", w}, {"w", w}})); }).text, Contains("there twice"));
  std::string root = dict({{"w", w}});
  for (int i = 0; i < 4; ++i) root = dict({{"in", root}});
  CHECK(find(root).tensors.size() == 1);
  CHECK(find(root, "in/in/in/in").tensors.size() == 1);
  CHECK_THAT(failure([&] { find(dict({{"in", root}})); }).text, Contains("\"in\""));
  CHECK_THAT(failure([&] { find(dict({})); }).text, Contains("its dictionary is empty"));
  CHECK_THAT(failure([&] { find(number(1)); }).text, Contains("it is no dictionary"));
}

TEST_CASE("long names and many tensors do not take much memory") {
  const std::string text_of_megabyte = std::string("X\0\0\x10\0", 5) + std::string(1 << 20, 'k') + "q\1";
  const auto refused = [](const std::string& root) { return failure([&] { find(root); }).text; };
  const std::string key = tuple({text("storage"), global("torch", "FloatStorage"), text_of_megabyte, "N", number(1)});
  CHECK_THAT(refused(dict({{"w", tensor(key + 'Q', 0, sizes({1}), sizes({1}))}})), Contains("256 bytes"));

  const std::string w = tensor(storage("0", 1), 0, sizes({1}), sizes({1})) + "q\2";
  std::string dictionaries = "}(" + text("w") + w + text_of_megabyte + "}(" + text("w") + "h\2u";
  for (int i = 0; i < 2000; ++i) dictionaries += text(message("d", i)) + "}(" + text("w") + "h\2u";
  CHECK_THAT(refused(dictionaries + 'u'), Contains("1000 dictionaries"));

  std::string tensors = "}(" + text("w") + w;
  for (int i = 0; i < 100'000; ++i) tensors += text(message("w", i)) + "h\2";
  CHECK_THAT(refused(tensors + 'u'), Contains("100000 tensors"));
}

TEST_CASE("what a stream may name is a short list") {
  for (const char* name : {"collections.OrderedDict", "torch.FloatStorage", "torch.cuda.LongStorage", "torch.bfloat16",
                           "torch.storage.UntypedStorage", "torch._utils._rebuild_tensor_v2", "numpy.dtype"})
    CHECK(is_torch_global(name));
  for (const char* name : {"os.system", "builtins.eval", "builtins.getattr", "torch.load", "torch.hub.load", "torch.",
                           "FloatStorage", "os.FloatStorage", "torch._utils._rebuild_device_tensor_from_numpy",
                           "torch.storage._load_from_bytes", "torch.nn.modules.linear.Linear", ""})
    CHECK_FALSE(is_torch_global(name));
}
