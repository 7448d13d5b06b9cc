#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "catch.hpp"
#include "data/safetensors_bytes.hpp"
#include "halftone/core/error.hpp"
#include "halftone/graph/interpreter.hpp"
#include "halftone/graph/passes.hpp"
#include "halftone/models/architecture.hpp"
#include "temp_dir.hpp"

using namespace halftone;

namespace {

/// One thread while it lives: two that wait for each other on a busy machine take ten times as long.
class OneThread {
 public:
  OneThread() : before_(at::get_num_threads()) { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before_); }
  OneThread(OneThread&&) = delete;
  OneThread& operator=(OneThread&&) = delete;

 private:
  int before_;
};

Architecture find(const std::string& name) {
  for (const auto& family : shipped_architectures())
    if (auto found = family.find(name)) return *found;
  throw std::runtime_error("no architecture " + name);
}

/// `count` numbers in [0, 1), as architectures_golden.py draws them.
at::Tensor draw(const std::string& name, std::int64_t count) {
  std::uint32_t seed = 2166136261;
  for (const char c : name) seed = (seed ^ static_cast<unsigned char>(c)) * 16777619;
  at::Tensor x = at::arange(count).mul_(2654435761).add_(static_cast<std::int64_t>(seed)).bitwise_and_(0xffffffff);
  x.bitwise_xor_(x.bitwise_right_shift(16)).mul_(73244475).bitwise_and_(0xffffffff);
  x.bitwise_xor_(x.bitwise_right_shift(16));
  return x.to(at::kDouble).div_(4294967296.0);
}

at::Tensor golden(const std::string& name, at::IntArrayRef shape) {
  std::int64_t count = 1;
  for (const auto size : shape) count *= size;
  const at::Tensor u = draw(name, count).view(shape);
  const bool vector = shape.size() == 1;
  if (name.ends_with("running_var") || (name.ends_with("weight") && vector)) return u.add(0.5).to(at::kFloat);
  if (vector) return u.sub(0.5).div(5).to(at::kFloat);
  const double scale = name.ends_with("weight") ? std::sqrt(6.0 / static_cast<double>(count / shape[0])) : 1;
  return u.mul(2).sub(1).mul(scale).to(at::kFloat);
}

/// A file with a tensor worked out from its name for every parameter of `model`.
std::string golden_file(const Model& model) {
  std::string header;
  std::string data;
  for (std::size_t id = 0; id < model.tensors.size(); ++id) {
    const Value& value = model.graph.values[id];
    if (value.kind != ValueKind::Parameter) continue;
    const at::Tensor tensor = golden(value.name, model.tensors[id].sizes()).contiguous();
    std::string shape;
    for (const auto size : tensor.sizes()) shape += message(shape.empty() ? "" : ",", size);
    header += message(header.empty() ? "" : ",", '"', value.name, R"(":{"dtype":"F32","shape":[)", shape,
                      R"(],"data_offsets":[)", data.size(), ',', data.size() + tensor.nbytes(), "]}");
    data.append(static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes());
  }
  return safetensors_bytes("{" + header + "}", data);
}

std::int64_t trained_numbers(const Model& model) {
  std::int64_t count = 0;
  for (std::size_t id = 0; id < model.tensors.size(); ++id) {
    const Value& value = model.graph.values[id];
    if (value.kind == ValueKind::Parameter && value.name.find("running_") == std::string::npos)
      count += model.tensors[id].numel();
  }
  return count;
}

std::vector<std::int64_t> batched(std::int64_t count, std::vector<std::int64_t> shape) {
  shape.insert(shape.begin(), count);
  return shape;
}

}  // namespace

TEST_CASE("networks with given weights compute what a second implementation computes") {
  struct Golden {
    const char* name;
    double mean, std;
    std::vector<float> logits;  ///< the first four of two samples
  };
  // From architectures_golden.py.
  const std::vector<Golden> cases{
      {"mobilenet_v1_0.75",
       -0.01696,
       0.93682,
       {0.68228F, -0.99524F, 0.27827F, -0.73188F, 0.64852F, -1.11358F, 0.25240F, -0.83904F}},
      {"mobilenet_v2",
       -0.02679,
       3.19249,
       {0.12538F, 4.55989F, 3.03380F, 0.22783F, 0.10750F, 4.41900F, 3.02037F, 0.11251F}},
      {"efficientnet_lite0",
       0.13124,
       3.22038,
       {0.80352F, 2.31967F, -4.82560F, 2.36993F, 0.83399F, 2.45113F, -5.04500F, 2.18099F}},
      {"resnet18",
       1.19476,
       81.56920,
       {-21.75188F, -31.56158F, 134.76089F, 30.19108F, -24.90066F, -34.18054F, 131.79803F, 30.75604F}},
      {"resnet34",
       -64.33955,
       3918.14795,
       {-258.37872F, 87.33271F, 7859.08984F, 9255.77832F, -295.86847F, 108.21040F, 7869.54785F, 9287.29199F}},
      {"resnet50",
       137.89407,
       8789.59082,
       {1247.65454F, 2364.80542F, -11523.90723F, -3336.25F, 1177.79712F, 2301.83374F, -11400.17676F, -3472.85693F}},
      {"bert_base_8", -0.30976, 0.33604, {-0.77959F, -0.31271F, -0.12931F, -0.01744F}},
      {"minilm_l6_8",
       0.00036,
       0.05106,
       {0.06143F, -0.01647F, -0.03566F, -0.07407F, 0.03825F, -0.00078F, -0.05477F, -0.03885F}},
      {"kws_dscnn",
       -0.38673,
       0.95809,
       {-0.44248F, -2.30226F, -0.10538F, -0.85050F, -0.43482F, -2.11477F, -0.06123F, -0.87741F}},
      {"fashion_resnet8",
       -1.57176,
       1.53895,
       {1.34897F, -0.91760F, -2.51232F, -2.36955F, 1.14097F, -0.69485F, -2.36066F, -2.29271F}}};
  const TempDir dir;
  const OneThread one_thread;
  for (const auto& [name, mean, std, expected] : cases) {
    CAPTURE(name);
    const Architecture architecture = find(name);
    const auto file = dir.write(name, golden_file(architecture.load({}, 0)));
    const LoadedModel loaded = load_model(message(name, ':', file.string()));
    const auto shape = batched(2, architecture.input_shape);
    const at::Tensor input =
        architecture.vocabulary > 0
            ? at::arange(c10::multiply_integers(shape)).mul(7919).remainder(architecture.vocabulary).view(shape)
            : golden("input", shape);
    std::vector<at::Tensor> inputs{input};
    if (loaded.model.graph.inputs.size() > 1) {  // an attention mask: two tokens of the second sample are padding
      inputs.push_back(at::ones_like(input));
      inputs[1][1].slice(0, -2).fill_(0);
    }
    const at::Tensor logits = Interpreter(loaded.model).run(inputs).at(0);
    REQUIRE(logits.sizes() == at::IntArrayRef({2, architecture.classes > 0 ? architecture.classes : 384}));
    CHECK(logits.mean().item<double>() == Approx(mean).margin(1e-3 * std));
    CHECK(logits.std().item<double>() == Approx(std).epsilon(1e-3));
    const at::Tensor difference = logits.slice(1, 0, 4).flatten() - at::tensor(expected);
    CHECK(difference.abs().max().item<double>() < 1e-3 * std);
  }
}

TEST_CASE("images are normalised as each network was trained") {
  const auto normalization = [](const char* name) {
    const auto found = find(name).normalization.value();
    return std::vector{found.mean, found.std};
  };
  using Expected = std::vector<std::vector<double>>;
  const Expected imagenet{{0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}};
  CHECK(normalization("cifar_resnet20") == imagenet);
  CHECK(normalization("mobilenet_v2") == imagenet);
  for (const char* name : {"resnet18", "resnet34", "resnet50"}) CHECK(normalization(name) == imagenet);
  CHECK(normalization("mobilenet_v1_0.75") == Expected{{0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}});
  const auto lite = normalization("efficientnet_lite0");
  for (int channel = 0; channel < 3; ++channel) {  // (x - 127) / 128
    CHECK(lite[0][static_cast<std::size_t>(channel)] == Approx(127.0 / 255));
    CHECK(lite[1][static_cast<std::size_t>(channel)] == Approx(128.0 / 255));
  }
  CHECK_FALSE(find("kws_dscnn").normalization);
}

TEST_CASE("networks have the parameters, sites and outputs that are known of them, also with random weights") {
  struct Known {
    const char* name;
    std::int64_t parameters;
    std::size_t sites;
    const char* first_site;
    const char* last_site;
  };
  const OneThread one_thread;
  for (const auto& [name, parameters, sites, first_site, last_site] :
       {Known{"mobilenet_v1_0.75", 2585560, 28, "conv1", "conv_preds"},
        {"mobilenet_v2", 3504872, 53, "features.0.0", "classifier.1"},
        {"efficientnet_lite0", 4652008, 50, "_conv_stem", "_fc"},
        {"resnet18", 11689512, 21, "conv1", "fc"},
        {"resnet34", 21797672, 37, "layer1.0.conv2", "layer4.2.conv2"},
        {"resnet50", 25557032, 54, "conv1", "fc"},
        {"kws_dscnn", 23756, 10, "conv1", "fc"},
        {"fashion_resnet8", 75002, 8, "conv1", "linear"},
        {"bert_base_8", 109483778, 74, "bert.encoder.layer.0.attention.self.query", "classifier"}}) {
    CAPTURE(name);
    const Architecture architecture = find(name);
    const Model captured = architecture.load({}, 3);
    CHECK(trained_numbers(captured) == parameters);
    const Model model = prepare(captured);
    REQUIRE(model.sites.size() == sites);
    const auto has_site = [&](const std::string& site) {
      return std::any_of(model.sites.begin(), model.sites.end(), [&](const Site& s) { return s.name == site; });
    };
    CHECK(has_site(first_site));
    CHECK(has_site(last_site));

    const auto shape = batched(2, architecture.input_shape);
    const at::Tensor input = architecture.vocabulary > 0
                                 ? draw("ids", 16).mul(architecture.vocabulary).to(at::kLong).view(shape)
                                 : golden("input", shape);
    const at::Tensor logits = Interpreter(model).run(std::vector{input}).at(0);
    REQUIRE(logits.sizes() == at::IntArrayRef({2, architecture.classes}));
    CHECK(logits.isfinite().all().item<bool>());
    // Neither all alike, nor the same for both samples.
    const double spread = logits.std(1).min().item<double>();
    CHECK(spread > 1e-2);
    CHECK((logits[0] - logits[1]).abs().max().item<double>() > 1e-3 * spread);
  }
}

TEST_CASE("random weights depend on the seed alone") {
  const OneThread one_thread;
  const Architecture architecture = find("kws_dscnn");
  const std::string first = digest(architecture.load({}, 1));
  CHECK(digest(architecture.load({}, 1)) == first);
  CHECK(digest(architecture.load({}, 2)) != first);
}

TEST_CASE("a loaded network says how its data is to be read") {
  const OneThread one_thread;
  const LoadedModel images = load_model("mobilenet_v1_0.75:random");
  CHECK(images.data.crop == 224);
  CHECK(images.data.normalization.mean == std::vector<double>{0.5, 0.5, 0.5});
  CHECK(images.data.input_names == std::vector<std::string>{"input"});
  CHECK(load_model("cifar_resnet20:random").data.crop == 32);
  CHECK(load_model("kws_dscnn:random").data.crop == 0);
}

TEST_CASE("BERT's length is part of its name") {
  CHECK(find("bert_base").input_shape == std::vector<std::int64_t>{128});
  CHECK(find("bert_base_512").input_shape == std::vector<std::int64_t>{512});
  for (const char* name : {"bert_base_0", "bert_base_513", "bert_base_", "bert_base_x", "bert_base_8x", "bert"})
    CHECK_THROWS(find(name));
}

TEST_CASE("every name that is listed is found, and an embedder's network with them") {
  const OneThread one_thread;
  auto families = shipped_architectures();
  Architecture mine = find("kws_dscnn");
  mine.name = "mine";
  families.push_back(family_of(mine));
  std::size_t listed = 0;
  for (const auto& family : families)
    for (const auto& name : family.names) {
      REQUIRE(family.find(name));
      CHECK(family.find(name)->name == name);
      ++listed;
    }
  CHECK(listed == 14);
  CHECK_FALSE(families.back().find("kws_dscnn"));
  CHECK(load_model("mine:random", families).classes == 12);
}
