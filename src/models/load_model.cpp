#include <ATen/ATen.h>

#include <filesystem>
#include <random>

#include "data/file_form.hpp"
#include "graph/example_tensor.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/file.hpp"
#include "halftone/graph/capture.hpp"
#include "halftone/graph/passes.hpp"
#include "halftone/graph/pt2.hpp"
#include "halftone/models/architecture.hpp"
#include "models/families.hpp"

namespace halftone {

namespace {

Architecture find_architecture(const std::string& name, const std::vector<ArchitectureFamily>& architectures) {
  for (const auto& family : architectures)
    if (auto found = family.find(name)) return *found;
  throw Error(Errc::NotFound, message("there is no architecture \"", name,
                                      "\": `halftone models` lists those that ship; other networks come as exported "
                                      "programs (x.pt2) or TorchScript (x.pt)"));
}

/// Where there is no file of weights that these options could be for.
void refuse(const WeightsOptions& options, const std::string& spec) {
  if (!options.names.empty() || !options.dictionary.empty())
    throw Error(Errc::InvalidArgument,
                message("model \"", spec, "\" takes no --rename and no --state-dict: they are for ",
                        "ARCH:weights.safetensors and ARCH:weights.pth"));
}

LoadedModel load_architecture(const std::string& spec, std::size_t colon,
                              const std::vector<ArchitectureFamily>& architectures, std::uint64_t seed,
                              const WeightsOptions& options) {
  WeightsFile weights{.path = spec.substr(colon + 1), .options = options};
  if (weights.path.empty())
    throw Error(Errc::InvalidArgument, message("model \"", spec, "\" names no weights: write ", spec,
                                               "FILE.safetensors, ", spec, "FILE.pth, or ", spec, "random"));
  if (weights.path == "random") {
    refuse(options, spec);
    weights.path.clear();
  }
  const Architecture architecture = find_architecture(spec.substr(0, colon), architectures);
  return {.model = architecture.load(weights, seed),
          .name = spec,
          .data = {.input_names = {}, .normalization = architecture.normalization.value_or(ImageNormalization{})},
          .classes = architecture.classes};
}

/// Whether `torch.save` wrote the file, not torch.jit.save.
bool is_torch_save(const std::string& path) {
  using internal::FileForm;
  try {
    const FileForm form = internal::form_of(MappedFile(path).bytes(), path);
    return form == FileForm::TorchSave || form == FileForm::TorchSaveOld;
  } catch (const Error&) {
    return false;
  }
}

LoadedModel load_script(const std::string& path, const ScriptExample& example, const WeightsOptions& weights) {
  refuse(weights, path);
  if (example.inputs.empty())
    throw Error(Errc::InvalidArgument, message("model \"", path,
                                               "\" needs the shape of one sample of each input, e.g. "
                                               "--input 3,32,32, or --input int64:128 for token ids"));
  std::mt19937_64 random(1);
  std::vector<at::Tensor> inputs;
  for (const auto& [shape, dtype] : example.inputs) {
    std::vector<std::int64_t> sizes{1};
    sizes.insert(sizes.end(), shape.begin(), shape.end());
    inputs.push_back(internal::example_tensor(sizes, dtype, random));
  }
  CaptureOptions options;
  if (example.any_length) options.length_dimension = 1;
  try {
    return {.model = capture_torchscript(path, inputs, options), .name = path, .data = {}};
  } catch (const Error& error) {
    if (error.code() != Errc::BadFile || !is_torch_save(path)) throw;
    throw Error(Errc::InvalidArgument,
                message("model \"", path, "\" was written by torch.save, not by torch.jit.save: give ARCH:", path,
                        " where it holds the state dict of a network that ships, or save torch.jit.script(module)"));
  }
}

LoadedModel load_program(const std::string& path, const ScriptExample& example, const WeightsOptions& weights) {
  refuse(weights, path);
  if (!example.inputs.empty() || example.any_length)
    throw Error(Errc::InvalidArgument,
                message("model \"", path, "\" says itself which shapes it takes: leave --input and --any-length out"));
  return {.model = capture_pt2(path), .name = path, .data = {}};
}

/// The side of the square colour images that the network takes; 0 where it takes something else.
std::int64_t crop_of(const Graph& graph) {
  if (graph.inputs.size() != 1) return 0;
  const Value& input = graph.values[static_cast<std::size_t>(graph.inputs[0])];
  const bool image = input.shape.size() == 4 && input.dtype == DType::Float32 && input.shape[1] == SymInt{3} &&
                     input.shape[2] == input.shape[3];
  return image ? input.shape[2].offset : 0;
}

/// The tokens of a network that takes one number of them only; 0 for others.
std::int64_t tokens_of(const Graph& graph) {
  for (const auto id : graph.inputs) {
    const Value& input = graph.values[static_cast<std::size_t>(id)];
    const bool ids = input.shape.size() == 2 && input.dtype == DType::Int64 && input.shape[1].is_fixed();
    if (ids) return input.shape[1].offset;
  }
  return 0;
}

/// vocab.txt beside the weights of MODEL; empty where there is none.
std::string vocabulary_beside(const std::string& weights) {
  const auto path = std::filesystem::path(weights).replace_filename("vocab.txt");
  std::error_code failure;
  return std::filesystem::is_regular_file(path, failure) ? path.string() : "";
}

void require_finite(const LoadedModel& loaded) {
  for (std::size_t id = 0; id < loaded.model.tensors.size(); ++id) {
    const at::Tensor& tensor = loaded.model.tensors[id];
    if (!tensor.defined() || !tensor.is_floating_point() || tensor.isfinite().all().item<bool>()) continue;
    const auto count = tensor.isfinite().logical_not().sum().item<std::int64_t>();
    throw Error(Errc::NonFinite, message("tensor \"", loaded.model.graph.values[id].name, "\" of model \"", loaded.name,
                                         "\" holds ", count, " NaN or infinite values of ", tensor.numel(),
                                         ": the network is broken; export its weights again"));
  }
}

}  // namespace

ArchitectureFamily family_of(Architecture architecture) {
  const std::string name = architecture.name;
  return {.names = {name}, .find = [architecture = std::move(architecture)](const std::string& asked) {
            return asked == architecture.name ? std::optional(architecture) : std::nullopt;
          }};
}

std::vector<ArchitectureFamily> shipped_architectures() {
  return {internal::cifar_resnets(), internal::fashion_resnets(),    internal::mobilenet_v1(),
          internal::mobilenet_v2(),  internal::efficientnet_lite0(), internal::resnet18(),
          internal::resnet34(),      internal::resnet50(),           internal::kws_dscnn(),
          internal::bert_bases(),    internal::minilm_l6()};
}

LoadedModel load_model(const std::string& spec, const std::vector<ArchitectureFamily>& architectures,
                       const ScriptExample& example, std::uint64_t seed, const WeightsOptions& weights) {
  const auto colon = spec.find(':');
  const bool file = colon == std::string::npos || spec.find('/') < colon;
  const bool script = file && spec.ends_with(".pt");
  const bool program = file && spec.ends_with(".pt2");
  if (!script && !program && colon == std::string::npos)
    throw Error(Errc::InvalidArgument, message("model \"", spec,
                                               "\" is not understood: give ARCH:weights.safetensors, "
                                               "ARCH:weights.pth, ARCH:random, an exported program x.pt2, or a "
                                               "TorchScript file x.pt"));
  LoadedModel loaded = script    ? load_script(spec, example, weights)
                       : program ? load_program(spec, example, weights)
                                 : load_architecture(spec, colon, architectures, seed, weights);
  require_finite(loaded);
  for (const auto id : loaded.model.graph.inputs)
    loaded.data.input_names.push_back(loaded.model.graph.values[static_cast<std::size_t>(id)].name);
  loaded.data.crop = crop_of(loaded.model.graph);
  loaded.data.vocabulary = vocabulary_beside(script ? spec : spec.substr(colon + 1));
  loaded.data.max_tokens = tokens_of(loaded.model.graph);
  if (loaded.data.max_tokens > 0) loaded.data.length_step = 0;
  loaded.model = prepare(std::move(loaded.model));
  if (loaded.model.sites.empty())
    throw Error(Errc::Unsupported, message("model \"", spec,
                                           "\" has no convolution or linear layer with trained "
                                           "weights: there is nothing to quantize"));
  return loaded;
}

}  // namespace halftone
