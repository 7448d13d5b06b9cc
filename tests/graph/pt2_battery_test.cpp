// Networks that Python exported, against what Python computed. The references come from tests/pt2/export_battery.py.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "data/entry_tensor.hpp"
#include "export/onnx_case.hpp"
#include "failure.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/data/safetensors.hpp"
#include "halftone/evaluate/simulated_evaluator.hpp"
#include "halftone/export/onnx.hpp"
#include "halftone/graph/interpreter.hpp"
#include "halftone/graph/passes.hpp"
#include "halftone/graph/pt2.hpp"

using namespace halftone;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

using Tensors = std::vector<at::Tensor>;

const fs::path kFolder = HALFTONE_PT2_CASES;

/// Names of the archives that can be run, sorted.
std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kFolder))
    if (entry.path().extension() == ".safetensors") names.push_back(entry.path().stem());
  std::sort(names.begin(), names.end());
  return names;
}

fs::path archive(const std::string& name) { return kFolder / (name + ".pt2"); }

/// What Python wrote beside an archive.
class Reference {
 public:
  explicit Reference(const std::string& name) : file_(kFolder / (name + ".safetensors")) {}

  [[nodiscard]] at::Tensor find(const std::string& name) const {
    const auto* entry = file_.find(name);
    return entry == nullptr ? at::Tensor() : internal::to_tensor(*entry);
  }
  /// "<set>.<kind>.0" and so on.
  [[nodiscard]] Tensors list(int set, const std::string& kind) const {
    Tensors tensors;
    for (int i = 0;; ++i) {
      const at::Tensor tensor = find(message(set, '.', kind, '.', i));
      if (!tensor.defined()) return tensors;
      tensors.push_back(tensor);
    }
  }
  [[nodiscard]] int sets() const {
    int count = 0;
    while (!list(count, "output").empty()) ++count;
    return count;
  }

 private:
  SafetensorsFile file_;
};

/// Largest difference, relative to the largest value.
double error(const at::Tensor& actual, const at::Tensor& expected) {
  if (actual.sizes() != expected.sizes() || actual.scalar_type() != expected.scalar_type()) return 1e9;
  const at::NoGradGuard no_grad;
  const at::Tensor a = actual.to(at::kDouble);
  const at::Tensor b = expected.to(at::kDouble);
  if (a.numel() == 0) return 0;
  const double largest = std::max(b.abs().max().item<double>(), 1e-6);
  return (a - b).abs().max().item<double>() / largest;
}

void require_same_gradients(const ExportedProgram& program, const Reference& reference, int set,
                            const Tensors& outputs) {
  at::Tensor loss = at::zeros({}, at::kDouble);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const at::Tensor cotangent = reference.find(message(set, ".cotangent.", i));
    CHECK(cotangent.defined() == outputs[i].requires_grad());
    if (cotangent.defined()) loss = loss + (outputs[i] * cotangent).sum().to(at::kDouble);
  }
  if (loss.requires_grad()) loss.backward();
  std::set<const void*> named;
  for (const auto& [name, tensor, is_buffer] : program.named_tensors()) {
    const at::Tensor expected = reference.find(message(set, ".gradient.", name));
    if (!expected.defined()) continue;
    INFO("gradient of " << name);
    REQUIRE(tensor.grad().defined());
    CHECK(error(tensor.grad(), expected) <= 1e-4);
    named.insert(tensor.unsafeGetTensorImpl());
  }
  for (const auto& [name, tensor, is_buffer] : program.named_tensors()) {
    INFO("gradient of " << name);
    CHECK(tensor.grad().defined() == named.contains(tensor.unsafeGetTensorImpl()));
  }
  for (const auto& [name, tensor, is_buffer] : program.named_tensors()) tensor.mutable_grad().reset();
}

/// Of networks that compute with the batch size in a way that a graph cannot hold, at the exported size alone.
CaptureOptions options_of(const std::string& name) {
  CaptureOptions options;
  options.dynamic_batch = name != "symbols";
  return options;
}

/// Why a network of the battery has no ONNX form yet; empty where it has one.
std::string missing_in_onnx(const std::string& name) {
  static const std::map<std::string, std::string> reasons{
      {"constants", "aten::index"}, {"decoder", "aten::rms_norm"}, {"decomposed_bert", "aten::any"},
      {"double", "float64"},        {"einsum", "aten::einsum"},    {"lstm", "aten::zeros"},
      {"nested", "aten::flip"},     {"slices", "aten::copy_"},     {"nn_rms_norm", "aten::rms_norm"},
      {"vision", "aten::roll"}};
  const auto found = reasons.find(name);
  return found == reasons.end() ? "" : found->second;
}

/// As float and at 8 bits, for ONNX Runtime.
void write_onnx(onnx_case::Folder& folder, const std::string& name, const Model& model, const Calibration& calibration,
                const Tensors& inputs) {
  const auto runner = simulate(model, calibration);
  OnnxOptions options;
  if (model.graph.values[static_cast<std::size_t>(model.graph.inputs[0])].shape[0].batch == 0)
    options.batch = inputs[0].size(0);
  const std::size_t sites = model.sites.size();
  for (const auto& [kind, plan] :
       {std::pair("float", Plan::uniform(sites, k16)), {"eight", Plan::uniform(sites, k8)}}) {
    const Tensors outputs =
        std::string(kind) == "float" ? Interpreter(model).run(inputs) : runner->prepare(&plan)(inputs);
    folder.add(message(name, '.', kind), model, plan, calibration, options, inputs, outputs);
  }
}

/// A dataset of the inputs that a program was exported with.
std::unique_ptr<Dataset> dataset_of(const Reference& reference) {
  return make_tensor_dataset("inputs", reference.list(0, "input"), {});
}

/// Whether a capture takes `inputs`: all that is not fixed may differ.
bool takes(const Model& model, const Tensors& inputs) {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Shape& shape = model.graph.values[static_cast<std::size_t>(model.graph.inputs[i])].shape;
    for (std::size_t d = 0; d < shape.size(); ++d)
      if (shape[d].is_fixed() && shape[d].offset != inputs[i].size(static_cast<std::int64_t>(d))) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("the battery is there") { REQUIRE(case_names().size() >= 25); }

TEST_CASE("exported programs give PyTorch's outputs and gradients, at every size that they take") {
  for (const std::string& name : case_names()) {
    const ExportedProgram program = ExportedProgram::load(archive(name));
    const Reference reference(name);
    for (int set = 0; set < reference.sets(); ++set) {
      INFO(name << ", inputs " << set);
      const Tensors outputs = program.run(reference.list(set, "input"));
      const Tensors expected = reference.list(set, "output");
      REQUIRE(outputs.size() == expected.size());
      CHECK(program.outputs().size() == expected.size());
      for (std::size_t i = 0; i < outputs.size(); ++i) CHECK(error(outputs[i], expected[i]) <= 1e-5);
      require_same_gradients(program, reference, set, outputs);
    }
  }
}

TEST_CASE("captured programs give the same outputs, at other batch sizes and lengths too") {
  for (const std::string& name : case_names()) {
    INFO(name);
    const ExportedProgram program = ExportedProgram::load(archive(name));
    const Model model = capture_pt2(program, options_of(name));
    const Reference reference(name);
    const Interpreter interpreter(model);
    int taken = 0;
    for (int set = 0; set < reference.sets(); ++set) {
      const Tensors inputs = reference.list(set, "input");
      if (!takes(model, inputs)) continue;
      ++taken;
      INFO("inputs " << set);
      const Tensors outputs = interpreter.run(inputs);
      const Tensors expected = program.run(inputs);
      REQUIRE(outputs.size() == expected.size());
      for (std::size_t i = 0; i < outputs.size(); ++i) CHECK(at::equal(outputs[i], expected[i]));
    }
    CHECK(taken >= (model.graph.length > 0 ? 2 : 1));
    for (std::size_t i = 0; i < program.inputs().size(); ++i)
      CHECK(model.graph.values[static_cast<std::size_t>(model.graph.inputs[i])].name == program.inputs()[i].name);
  }
}

TEST_CASE("captured programs can be prepared, calibrated, quantized to 8 bits and exported") {
  const at::NoGradGuard no_grad;
  onnx_case::Folder onnx(HALFTONE_PT2_ONNX);
  const std::vector<Precision> precisions{k8};
  for (const std::string& name : case_names()) {
    INFO(name);
    const Model model = prepare(capture_pt2(archive(name), options_of(name)));
    REQUIRE_FALSE(model.sites.empty());
    const Reference reference(name);
    const auto data = dataset_of(reference);
    CalibrateOptions options;
    options.batch_size = data->size();
    const Calibration calibration = calibrate(model, *data, precisions, options);
    const Plan plan = Plan::uniform(model.sites.size(), k8);
    const auto runner = simulate(model, calibration);
    const Tensors inputs = reference.list(0, "input");
    const Tensors outputs = runner->prepare(&plan)(inputs);
    const Tensors expected = reference.list(0, "output");
    REQUIRE(outputs.size() == expected.size());
    for (std::size_t i = 0; i < outputs.size(); ++i) CHECK(error(outputs[i], expected[i]) < 0.1);
    const std::string missing = missing_in_onnx(name);
    if (missing.empty())
      write_onnx(onnx, name, model, calibration, inputs);
    else
      CHECK_THAT(failure([&] { to_onnx(model, plan, calibration); }).text, Contains(missing));
  }
  onnx.finish();
}

TEST_CASE("a length that is dynamic at export is dynamic in the capture, unless it is not wanted") {
  const auto length = [](std::optional<std::int64_t> dimension) {
    CaptureOptions options;
    options.length_dimension = dimension;
    return capture_pt2(archive("bert"), options).graph.length;
  };
  CHECK(length(std::nullopt) == 6);
  CHECK(length(1) == 6);
  CHECK(length(0) == 0);
  CHECK(capture_pt2(archive("residual")).graph.length == 0);
}

TEST_CASE("inputs are described as they were exported") {
  const ExportedProgram bert = ExportedProgram::load(archive("bert"));
  REQUIRE(bert.inputs().size() == 2);
  CHECK(bert.inputs()[0].name == "input_ids");
  CHECK(bert.inputs()[1].name == "attention_mask");
  CHECK(bert.inputs()[0].dtype == DType::Int64);
  CHECK(bert.inputs()[1].dtype == DType::Bool);
  const auto& sizes = bert.inputs()[0].sizes;
  REQUIRE(sizes.size() == 2);
  CHECK((sizes[0].is_dynamic() && sizes[0].size == 2 && sizes[0].most == 64));
  CHECK((sizes[1].is_dynamic() && sizes[1].size == 6 && sizes[1].most == 32));
  CHECK(sizes[0].symbol == bert.inputs()[1].sizes[0].symbol);
  CHECK(sizes[0].symbol != sizes[1].symbol);
  const ExportedProgram fixed = ExportedProgram::load(archive("residual_fixed"));
  for (const auto& dimension : fixed.inputs()[0].sizes) CHECK_FALSE(dimension.is_dynamic());
}

TEST_CASE("inputs that do not fit are refused by name") {
  const ExportedProgram bert = ExportedProgram::load(archive("bert"));
  const auto refusal = [&](const Tensors& inputs) {
    const Failure bad = failure([&] { static_cast<void>(bert.run(inputs)); });
    CHECK(bad.code == Errc::InvalidArgument);
    return bad.text;
  };
  const at::Tensor ids = at::ones({2, 6}, at::kLong);
  const at::Tensor mask = at::ones({2, 6}, at::kBool);
  CHECK_THAT(refusal({ids}), Contains("takes 2 inputs (input_ids, attention_mask), got 1"));
  CHECK_THAT(refusal({ids.to(at::kInt), mask}), Contains("input \"input_ids\" is Int [2, 6]") && Contains("int64"));
  CHECK_THAT(refusal({ids.view({12}), mask}), Contains("\"input_ids\" is Long [12]"));
  CHECK_THAT(refusal({ids, at::ones({3, 6}, at::kBool)}), Contains("\"attention_mask\"") && Contains("was 2 before"));
  CHECK_THAT(refusal({at::ones({2, 33}, at::kLong), at::ones({2, 33}, at::kBool)}), Contains("0 to 32"));
  CHECK_THAT(refusal({at::ones({65, 6}, at::kLong), mask}), Contains("0 to 64"));
  CHECK_THAT(refusal({ids, {}}), Contains("\"attention_mask\" is undefined"));
  CHECK_THAT(refusal({at::full({2, 6}, 20, at::kLong), mask}), Contains("(torch.ops.aten.embedding.default) failed"));
}

TEST_CASE("tied weights are one tensor, under both names") {
  const ExportedProgram bert = ExportedProgram::load(archive("bert"));
  const auto find = [&](const std::string& name) {
    const auto& tensors = bert.named_tensors();
    const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const auto& one) { return one.name == name; });
    REQUIRE(found != tensors.end());
    return *found;
  };
  CHECK(find("word.weight").tensor.is_same(find("decoder.weight").tensor));
  CHECK(find("word.weight").tensor.requires_grad());
  CHECK_FALSE(find("word.weight").is_buffer);
  CHECK(find("ids").is_buffer);
}

TEST_CASE("weights may be written to, and outlive the program, while the file stays as it is") {
  const fs::path copy = kFolder / "written.copy";
  fs::copy_file(archive("relu6"), copy, fs::copy_options::overwrite_existing);
  at::Tensor weight;
  {
    const ExportedProgram program = ExportedProgram::load(copy);
    for (const auto& [name, tensor, is_buffer] : program.named_tensors())
      if (name == "fc.weight") weight = tensor;
    const at::NoGradGuard no_grad;
    weight.fill_(7);
    const Reference reference("relu6");
    CHECK(error(program.run(reference.list(0, "input"))[0], reference.list(0, "output")[0]) > 0.1);
  }
  CHECK(weight.eq(7).all().item<bool>());
  const ExportedProgram again = ExportedProgram::load(copy);
  for (const auto& [name, tensor, is_buffer] : again.named_tensors())
    if (name == "fc.weight") CHECK_FALSE(tensor.eq(7).any().item<bool>());
  fs::remove(copy);
}

TEST_CASE("programs follow their tensors to another device") {
  ExportedProgram symbols = ExportedProgram::load(archive("symbols"));
  symbols.to(at::kMeta);  // a device without memory: everything made along the way must be there too
  const Tensors inputs{at::empty({2, 6, 4}, at::device(at::kMeta)), at::empty({2, 3, 4}, at::device(at::kMeta))};
  const Tensors outputs = symbols.run(inputs);
  for (const at::Tensor& output : outputs) CHECK(output.is_meta());
  CHECK(outputs[0].sizes() == at::IntArrayRef({2, 24}));
  const Failure elsewhere = failure([&] { static_cast<void>(symbols.run({at::ones({2, 6, 4}), inputs[1]})); });
  CHECK_THAT(elsewhere.text, Contains("is on device cpu, the network on meta"));
}

TEST_CASE("parts without gradients have none in the capture either") {
  const ExportedProgram program = ExportedProgram::load(archive("no_grad"));
  const Model model = capture_pt2(program);
  Interpreter(model).run(Reference("no_grad").list(0, "input"))[0].sum().backward();
  for (const auto& [name, tensor, is_buffer] : program.named_tensors())
    CHECK(tensor.grad().defined() == name.starts_with("student"));
}

TEST_CASE("programs that cannot run are refused by operator and with what to do") {
  const auto refusal = [](const std::string& name) {
    const Failure bad = failure([&] { ExportedProgram::load(kFolder / (name + ".refused.pt2")); });
    CHECK(bad.code == Errc::Unsupported);
    return bad.text;
  };
  CHECK_THAT(refusal("training"), Contains("export the module in eval mode"));
  CHECK_THAT(refusal("buffer"), Contains("export the module in eval mode"));
  CHECK_THAT(refusal("control_flow"), Contains("torch.ops.higher_order.cond") && Contains("torch.where"));
  CHECK_THAT(refusal("autocast"), Contains("torch.ops.higher_order.wrap_with_autocast"));
}

TEST_CASE("a batch that is fixed, or shares its symbol, is captured as it was exported") {
  const auto is_dynamic = [](const std::string& name, bool wanted) {
    CaptureOptions options;
    options.dynamic_batch = wanted;
    const Model model = capture_pt2(archive(name), options);
    return model.graph.values[static_cast<std::size_t>(model.graph.inputs[0])].shape[0].batch != 0;
  };
  CHECK(is_dynamic("residual", true));
  CHECK_FALSE(is_dynamic("residual", false));
  CHECK_FALSE(is_dynamic("residual_fixed", true));
}
