#include "halftone/data/dataset.hpp"

#include <ATen/ATen.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "failure.hpp"
#include "safetensors_bytes.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

const ImageNormalization kImageNet{{.485, .456, .406}, {.229, .224, .225}};

/// `count` records; pixel p of record i in channel c holds (37 i + 100 c + p) mod 256, label i mod 10.
std::string cifar_bytes(int count) {
  std::string bytes;
  for (int i = 0; i < count; ++i) {
    bytes += static_cast<char>(i % 10);
    for (int c = 0; c < 3; ++c)
      for (int p = 0; p < 1024; ++p) bytes += static_cast<char>((37 * i + 100 * c + p) % 256);
  }
  return bytes;
}

std::string data_of(const at::Tensor& tensor) {
  return {static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes()};
}

/// The header's part about a tensor of `count` bytes at `begin`.
std::string entry(const std::string& name, const std::string& dtype, const std::string& shape, std::size_t begin,
                  std::size_t count) {
  return message('"', name, R"(":{"dtype":")", dtype, R"(","shape":)", shape, R"(,"data_offsets":[)", begin, ',',
                 begin + count, "]}");
}

/// Two inputs of three samples, "ids" [3, 2] int64 and "mask" [3] bool at odd addresses, and "target" [3] float32.
std::string two_inputs() {
  const at::Tensor ids = at::arange(6, at::kLong);
  const at::Tensor target = at::tensor({0.5F, -1.F, 2.F});
  const std::string header = "{" + entry("mask", "BOOL", "[3]", 0, 3) + "," + entry("ids", "I64", "[3,2]", 3, 48) +
                             "," + entry("target", "F32", "[3]", 51, 12) + "}";
  return safetensors_bytes(header, std::string("\1\0\2", 3) + data_of(ids) + data_of(target));
}

std::unique_ptr<Dataset> numbers(std::int64_t count) {
  return make_tensor_dataset("numbers", {at::arange(count, at::kFloat)}, at::arange(count, at::kLong));
}

/// A user's data: nothing but what the interface demands.
class Minimal final : public Dataset {
 public:
  explicit Minimal(std::int64_t size) : size_(size) {}
  std::int64_t size() const override { return size_; }
  Batch get(std::span<const std::int64_t> indices) const override {
    Batch batch{{at::empty({static_cast<std::int64_t>(indices.size())}, at::kFloat)}, {}};
    for (std::size_t i = 0; i < indices.size(); ++i)
      batch.inputs[0].mutable_data_ptr<float>()[i] = static_cast<float>(indices[i]);
    return batch;
  }
  at::Tensor targets() const override { return {}; }
  std::string name() const override { return "minimal"; }

 private:
  std::int64_t size_;
};

}  // namespace

TEST_CASE("CIFAR-10 images are normalised as torchvision does it") {
  const TempDir dir;
  const std::string path = dir.write("x.bin", cifar_bytes(12));
  const auto data = open_cifar10(path, kImageNet);
  CHECK(data->size() == 12);
  CHECK(data->name() == "cifar10:" + path);

  const std::vector<std::int64_t> indices{11, 0, 7, 7};
  const Batch batch = data->get(indices);
  REQUIRE(batch.inputs.size() == 1);
  const at::Tensor& images = batch.inputs[0];
  CHECK(images.sizes() == at::IntArrayRef({4, 3, 32, 32}));
  CHECK(images.scalar_type() == at::kFloat);
  CHECK(batch.targets.equal(at::tensor({1, 0, 7, 7}, at::kLong)));
  CHECK(data->targets().equal(at::arange(12, at::kLong).remainder(10)));

  const at::Tensor raw = (37 * at::tensor(indices).view({4, 1, 1, 1}) + 100 * at::arange(3).view({1, 3, 1, 1}) +
                          at::arange(1024).view({1, 1, 32, 32}))
                             .remainder(256)
                             .to(at::kByte);
  const at::Tensor mean = at::tensor({.485F, .456F, .406F}).view({1, 3, 1, 1});
  const at::Tensor std = at::tensor({.229F, .224F, .225F}).view({1, 3, 1, 1});
  const at::Tensor expected = raw.to(at::kFloat).div(255).sub(mean).div(std);
  CHECK(images.sub(expected).abs().max().item<float>() < 1e-6F);
}

TEST_CASE("without normalisation CIFAR-10 pixels lie from 0 to 1") {
  const TempDir dir;
  const auto data = open_cifar10(dir.write("x.bin", cifar_bytes(1)), {});
  const at::Tensor image = data->range(0, 1).inputs[0];
  CHECK(image.min().item<float>() == 0);
  CHECK(image.max().item<float>() == 1);
  CHECK(image.flatten()[1].item<float>() == 1.F / 255);
}

TEST_CASE("a CIFAR-10 file of any other size is refused") {
  const TempDir dir;
  const std::string record = cifar_bytes(1);
  for (const std::size_t size : {0U, 1U, 3072U}) {
    const Failure bad = failure([&] { open_cifar10(dir.write("x.bin", record.substr(0, size)), {}); });
    CHECK(bad.code == Errc::BadFile);
    CHECK_THAT(bad.text, Contains(message("x.bin\" holds ", size, " bytes")) && Contains("3073"));
  }
  CHECK(failure([&] { open_cifar10(dir.write("x.bin", record + "x"), {}); }).code == Errc::BadFile);
  CHECK(failure([&] { open_cifar10(dir / "none.bin", {}); }).code == Errc::NotFound);
}

TEST_CASE("a CIFAR-10 label above 9 is named with its record") {
  const TempDir dir;
  std::string bytes = cifar_bytes(3);
  for (const int label : {10, 255}) {
    bytes[2 * 3073] = static_cast<char>(label);
    const Failure bad = failure([&] { open_cifar10(dir.write("x.bin", bytes), {}); });
    CHECK(bad.code == Errc::BadFile);
    CHECK_THAT(bad.text, Contains(message("record 2 has label ", label)) && Contains("0 to 9"));
  }
}

TEST_CASE("a normalisation that cannot be applied is refused") {
  const TempDir dir;
  const std::string path = dir.write("x.bin", cifar_bytes(1));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const ImageNormalization& bad : {ImageNormalization{{0, 0}, {1, 1, 1}}, ImageNormalization{{0, 0, 0}, {1}}}) {
    const Failure refused = failure([&] { open_cifar10(path, bad); });
    CHECK(refused.code == Errc::InvalidArgument);
    CHECK_THAT(refused.text, Contains("3 means and 3 standard deviations"));
  }
  for (const double value : {0., -1., nan, std::numeric_limits<double>::infinity(), 1e-320}) {
    const Failure refused = failure([&] { open_cifar10(path, {{0, 0, 0}, {1, value, 1}}); });
    CHECK(refused.code == Errc::InvalidArgument);
    CHECK_THAT(refused.text, Contains("channel 1") && Contains("std above 0"));
  }
  CHECK_THAT(failure([&] { open_cifar10(path, {{0, 0, nan}, {1, 1, 1}}); }).text, Contains("channel 2"));
}

TEST_CASE("tensor data gives its samples in the order asked for") {
  const at::Tensor images = at::arange(24, at::kFloat).view({4, 3, 2});
  const auto data = make_tensor_dataset("mine", {images, at::arange(4, at::kInt)}, at::arange(4, at::kLong) * 10);
  CHECK(data->size() == 4);
  CHECK(data->name() == "mine");
  const std::vector<std::int64_t> indices{3, 1, 3};
  const Batch batch = data->get(indices);
  REQUIRE(batch.inputs.size() == 2);
  CHECK(batch.inputs[0].equal(at::stack({images[3], images[1], images[3]})));
  CHECK(batch.inputs[1].equal(at::tensor({3, 1, 3}, at::kInt)));
  CHECK(batch.targets.equal(at::tensor({30, 10, 30}, at::kLong)));
  CHECK(data->get({}).inputs[0].sizes() == at::IntArrayRef({0, 3, 2}));
}

TEST_CASE("data without targets is unlabelled") {
  const auto data = make_tensor_dataset("x", {at::zeros({2, 1})}, {});
  CHECK_FALSE(data->targets().defined());
  CHECK_FALSE(data->range(0, 2).targets.defined());
  CHECK_FALSE(make_subset(numbers(3), {1}, "s")->targets().equal(at::zeros({1}, at::kLong)));
  CHECK_FALSE(make_subset(std::make_shared<Minimal>(3), {1}, "s")->targets().defined());
}

TEST_CASE("tensors that carry gradients give samples that do not") {
  const at::Tensor weights = at::ones({2, 2}).requires_grad_();
  CHECK_FALSE(make_tensor_dataset("x", {weights * 2}, {})->range(0, 1).inputs[0].requires_grad());
}

TEST_CASE("tensors that are no samples are refused") {
  const at::Tensor three = at::zeros({3, 2});
  const auto text_of = [](std::vector<at::Tensor> inputs, at::Tensor targets) {
    const Failure bad = failure([&] { make_tensor_dataset("mine", std::move(inputs), std::move(targets)); });
    CHECK(bad.code == Errc::InvalidArgument);
    CHECK_THAT(bad.text, Contains("data \"mine\": "));
    return bad.text;
  };
  CHECK_THAT(text_of({}, {}), Contains("no inputs"));
  CHECK_THAT(text_of({three, at::Tensor()}, {}), Contains("input 1 is an undefined tensor"));
  CHECK_THAT(text_of({at::Tensor(), three}, {}), Contains("input 0 is an undefined tensor"));
  CHECK_THAT(text_of({at::scalar_tensor(1)}, {}), Contains("input 0 is a single number"));
  CHECK_THAT(text_of({three.to_sparse()}, {}), Contains("input 0 is no dense tensor"));
  CHECK_THAT(text_of({three, at::zeros({4})}, {}),
             Contains("input 1 has shape [4], but input 0 holds 3 samples: both must hold equally many"));
  CHECK_THAT(text_of({three}, at::zeros({2}, at::kLong)), Contains("target has shape [2], but input 0 holds 3"));
  CHECK_THAT(text_of({at::zeros({0, 2})}, {}), Contains("at least one sample"));
  CHECK_THAT(text_of({three}, at::zeros({3}, at::kBool)), Contains("target has type Bool: it must be float"));
  CHECK_THAT(text_of({three}, at::zeros({3}, at::kComplexFloat)), Contains("target has type ComplexFloat"));
}

TEST_CASE("samples that do not exist are refused by every kind of data") {
  const TempDir dir;
  const std::string path = dir.write("x.bin", cifar_bytes(3));
  std::vector<std::unique_ptr<Dataset>> all;
  all.push_back(numbers(3));
  all.push_back(open_cifar10(path, {}));
  all.push_back(make_subset(numbers(9), {4, 5, 6}, "s"));
  for (const auto& data : all) {
    for (const std::int64_t index : {-1L, 3L, std::numeric_limits<std::int64_t>::max()}) {
      const Failure bad = failure([&] { static_cast<void>(data->get(std::vector<std::int64_t>{0, index})); });
      CHECK(bad.code == Errc::InvalidArgument);
      CHECK_THAT(bad.text, Contains(data->name()) && Contains(message("no sample ", index, ": it holds 3 samples")));
    }
    for (const auto& [begin, end] : {std::pair{-1, 2}, {0, 4}, {2, 1}}) {
      const Failure bad = failure([&, b = begin, e = end] { static_cast<void>(data->range(b, e)); });
      CHECK(bad.code == Errc::InvalidArgument);
      CHECK_THAT(bad.text, Contains(message("no samples ", begin, " to ", end)) && Contains("3 samples"));
    }
    CHECK(data->range(1, 3).targets.equal(data->targets().slice(0, 1, 3)));
    CHECK(data->range(3, 3).targets.size(0) == 0);
  }
}

TEST_CASE("a subset chooses and reorders samples, also of a subset") {
  const std::shared_ptr<const Dataset> whole = numbers(10);
  const std::shared_ptr<const Dataset> odd = make_subset(whole, {1, 3, 5, 7, 9}, "odd");
  const auto two = make_subset(odd, {4, 0, 4}, "two");
  CHECK(two->size() == 3);
  CHECK(two->name() == "two");
  CHECK(two->targets().equal(at::tensor({9, 1, 9}, at::kLong)));
  CHECK(two->range(0, 2).inputs[0].equal(at::tensor({9.F, 1.F})));
}

TEST_CASE("a subset of nothing, or of samples that do not exist, is refused") {
  const std::shared_ptr<const Dataset> whole = numbers(10);
  const auto text_of = [](std::shared_ptr<const Dataset> parent, std::vector<std::int64_t> indices) {
    const Failure bad = failure([&] { make_subset(std::move(parent), std::move(indices), "part"); });
    CHECK(bad.code == Errc::InvalidArgument);
    CHECK_THAT(bad.text, Contains("subset \"part\""));
    return bad.text;
  };
  CHECK_THAT(text_of(nullptr, {0}), Contains("no data"));
  CHECK_THAT(text_of(whole, {}), Contains("is empty"));
  for (const std::int64_t index : {-1, 10})
    CHECK_THAT(text_of(whole, {0, index}), Contains(message("sample ", index, " of \"numbers\", which holds 10")));
}

TEST_CASE("a tensor file gives the model's inputs in the model's order") {
  const TempDir dir;
  const std::string path = dir.write("x.safetensors", two_inputs());
  const auto data = open_tensor_dataset(path, {"ids", "mask"});
  CHECK(data->name() == path);
  const Batch batch = data->range(1, 3);
  REQUIRE(batch.inputs.size() == 2);
  CHECK(batch.inputs[0].equal(at::tensor({2, 3, 4, 5}, at::kLong).view({2, 2})));
  CHECK(batch.inputs[1].equal(at::tensor({0, 1}).to(at::kBool)));
  CHECK(batch.targets.equal(at::tensor({-1.F, 2.F})));
}

TEST_CASE("every element type is read from a tensor file") {
  const TempDir dir;
  const std::vector<std::pair<std::string, at::ScalarType>> types{
      {"BOOL", at::kBool}, {"U8", at::kByte},  {"I8", at::kChar},       {"I16", at::kShort}, {"I32", at::kInt},
      {"I64", at::kLong},  {"F16", at::kHalf}, {"BF16", at::kBFloat16}, {"F32", at::kFloat}, {"F64", at::kDouble}};
  for (const auto& [name, type] : types) {
    const at::Tensor values = at::tensor({0, 1, 1, 0, 1}).to(type);
    const auto path = dir.write(
        "x.safetensors", safetensors_bytes("{" + entry("x", name, "[5]", 0, values.nbytes()) + "}", data_of(values)));
    const at::Tensor read = open_tensor_dataset(path, {"x"})->range(0, 5).inputs[0];
    CHECK(read.scalar_type() == type);
    CHECK(read.equal(values));
  }
}

TEST_CASE("a model with one input takes the only tensor whatever its name") {
  const TempDir dir;
  const std::string path =
      dir.write("x.safetensors", safetensors_bytes("{" + entry("any", "U8", "[2]", 0, 2) + "}", "ab"));
  const auto data = open_tensor_dataset(path, {"input"});
  CHECK(data->range(0, 2).inputs[0].equal(at::tensor({'a', 'b'}, at::kByte)));
  CHECK_FALSE(data->targets().defined());
}

TEST_CASE("tensors outlive the file they were read from") {
  std::unique_ptr<Dataset> data;
  {
    const TempDir dir;
    data = open_tensor_dataset(dir.write("x.safetensors", two_inputs()), {"ids", "mask"});
  }
  CHECK(data->range(2, 3).inputs[0].equal(at::tensor({4, 5}, at::kLong).view({1, 2})));
}

TEST_CASE("a tensor file that does not fit the model says what it holds and what it must hold") {
  const TempDir dir;
  const std::string path = dir.write("x.safetensors", two_inputs());
  const std::vector<std::vector<std::string>> misfits{{"ids"}, {"ids", "segments"}, {"ids", "mask", "x"}};
  for (const auto& names : misfits) {
    const Failure bad = failure([&] { open_tensor_dataset(path, names); });
    CHECK(bad.code == Errc::BadFile);
    CHECK_THAT(bad.text, Contains("x.safetensors") && Contains("holds \"mask\", \"ids\", \"target\"") &&
                             Contains("inputs (\"ids\"") && Contains(names.back()));
  }
  CHECK(failure([&] { open_tensor_dataset(path, {}); }).code == Errc::InvalidArgument);

  const std::string empty = dir.write("y.safetensors", safetensors_bytes("{}", ""));
  CHECK_THAT(failure([&] { open_tensor_dataset(empty, {"x"}); }).text, Contains("it holds no tensors"));
  const std::string target =
      dir.write("z.safetensors", safetensors_bytes("{" + entry("target", "U8", "[1]", 0, 1) + "}", "a"));
  CHECK_THAT(failure([&] { open_tensor_dataset(target, {"x"}); }).text, Contains("it holds \"target\","));
}

TEST_CASE("tensors of a file that disagree are named") {
  const TempDir dir;
  const auto text_of = [&](const std::string& header, std::size_t bytes) {
    const auto path = dir.write("x.safetensors", safetensors_bytes("{" + header + "}", std::string(bytes, '\0')));
    const Failure bad = failure([&] { open_tensor_dataset(path, {"x"}); });
    CHECK(bad.code == Errc::BadFile);
    CHECK_THAT(bad.text, Contains("x.safetensors"));
    return bad.text;
  };
  CHECK_THAT(text_of(entry("a", "U8", "[3]", 0, 3) + "," + entry("target", "U8", "[2]", 3, 2), 5),
             Contains("target has shape [2], but tensor \"a\" holds 3 samples"));
  CHECK_THAT(text_of(entry("a", "F32", "[]", 0, 4), 4), Contains("tensor \"a\" is a single number"));
  CHECK_THAT(text_of(entry("a", "F32", "[0,3]", 0, 0), 0), Contains("shape [0, 3]: there must be at least one sample"));
  CHECK_THAT(text_of(entry("a", "U8", "[1]", 0, 1) + "," + entry("target", "BOOL", "[1]", 1, 1), 2),
             Contains("target has type Bool"));
}

TEST_CASE("data is opened as the command line writes it") {
  const TempDir dir;
  const std::string images = "cifar10:" + dir.write("images.bin", cifar_bytes(6)).string();
  const std::string tensors = dir.write("t.safetensors", two_inputs());
  const DataOptions options{{"ids", "mask"}, kImageNet};

  CHECK(open_dataset(images, options)->size() == 6);
  CHECK(open_dataset(tensors, options)->size() == 3);
  CHECK(open_dataset(tensors + "[1:2]", options)->targets().equal(at::tensor({-1.F})));
  for (const auto& [slice, first, size] :
       {std::tuple{"[0:6]", 0, 6}, {"[2:5]", 2, 3}, {"[:4]", 0, 4}, {"[5:]", 5, 1}, {"[:]", 0, 6}}) {
    const auto data = open_dataset(images + slice, options);
    CHECK(data->name() == images + slice);
    CHECK(data->size() == size);
    CHECK(data->targets()[0].item<int>() == first);
  }
}

TEST_CASE("a slice outside the data states the number of samples") {
  const TempDir dir;
  const std::string spec = "cifar10:" + dir.write("x.bin", cifar_bytes(6)).string();
  for (const char* slice : {"[3:3]", "[4:2]", "[0:7]", "[6:]", "[:0]", "[7:9]", "[9223372036854775807:]"}) {
    const Failure bad = failure([&] { open_dataset(spec + slice, {}); });
    CHECK(bad.code == Errc::InvalidArgument);
    CHECK_THAT(bad.text, Contains(spec + slice) && Contains("needs 0 <= a < b <= 6"));
  }
}

TEST_CASE("a slice that is not understood is quoted") {
  for (const char* slice : {"[]", "[5]", "[-1:3]", "[1:-3]", "[a:b]", "[1:2:3]", "[1: 2]", "[1,2]", "[+1:2]",
                            "[0:9223372036854775808]", "[1.0:2]"}) {
    const Failure bad = failure([&] { open_dataset(message("cifar10:x.bin", slice), {}); });
    CHECK(bad.code == Errc::InvalidArgument);
    CHECK_THAT(bad.text, Contains(message("the slice ", slice, " is not understood")) && Contains("write [a:b]"));
  }
}

TEST_CASE("data of no known form is answered with the forms") {
  for (const char* spec : {"", "x.bin", "cifar10:", "cifar10", "CIFAR10:x.bin", "x.pt", ".safetensors",
                           "x.safetensors ", "images:", "image:dir", "x.bin[0:3]", "]", "[0:1]"}) {
    const Failure bad = failure([&] { open_dataset(spec, {}); });
    CHECK(bad.code == Errc::InvalidArgument);
    CHECK_THAT(bad.text, Contains("cifar10:FILE.bin") && Contains("images:DIRECTORY") && Contains("FILE.safetensors") &&
                             Contains("[a:b]"));
  }
}

TEST_CASE("a digest depends on what the samples are, not on how they are stored") {
  const TempDir dir;
  const std::string path = dir.write("x.bin", cifar_bytes(70));
  const std::shared_ptr<const Dataset> images = open_cifar10(path, kImageNet);
  const std::string digest = images->digest();
  CHECK(digest.size() == 32);
  CHECK(images->digest() == digest);

  const Batch all = images->range(0, 70);
  const at::Tensor channels_last = all.inputs[0].contiguous(at::MemoryFormat::ChannelsLast);
  CHECK(make_tensor_dataset("other", {channels_last}, all.targets)->digest() == digest);
  CHECK(open_dataset("cifar10:" + path + "[:]", {{}, kImageNet})->digest() == digest);

  CHECK(open_cifar10(path, {})->digest() != digest);
  CHECK(make_subset(images, {1, 0}, "s")->digest() != make_subset(images, {0, 1}, "s")->digest());
  std::string changed = cifar_bytes(70);
  changed.back() = static_cast<char>(changed.back() ^ 1);
  CHECK(open_cifar10(dir.write("y.bin", changed), kImageNet)->digest() != digest);
  CHECK(make_tensor_dataset("x", all.inputs, {})->digest() != digest);
  CHECK(make_tensor_dataset("x", all.inputs, all.targets.to(at::kInt))->digest() != digest);
  CHECK(make_tensor_dataset("x", {all.inputs[0].flatten(1)}, all.targets)->digest() != digest);
}

TEST_CASE("a user's data needs four functions") {
  const Minimal data(100);
  CHECK(data.range(3, 5).inputs[0].equal(at::tensor({3.F, 4.F})));
  CHECK(data.digest() == make_tensor_dataset("x", {at::arange(100, at::kFloat)}, {})->digest());
}

TEST_CASE("samples at even distances, or all where there are no more") {
  const std::shared_ptr<const Dataset> ten = numbers(10);
  const auto four = spread_subset(ten, 4);
  CHECK(four->targets().equal(at::tensor({0, 2, 5, 7}, at::kLong)));
  CHECK(four->name() == "4 of numbers");
  CHECK(spread_subset(ten, 10)->digest() == spread_subset(ten, 99)->digest());
  CHECK(spread_subset(ten, 99)->size() == 10);
  CHECK(spread_subset(ten, 99)->name() == "numbers");
}
