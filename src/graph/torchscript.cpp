#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>

#include <filesystem>

#include "halftone/graph/capture.hpp"

namespace halftone {

namespace {

torch::jit::Module load(const std::string& path) {
  if (!std::filesystem::exists(path)) throw Error(Errc::NotFound, message("there is no file \"", path, '"'));
  try {
    return torch::jit::load(path, at::kCPU);
  } catch (const c10::Error& error) {
    throw Error(Errc::BadFile, message('"', path, "\" is not a TorchScript file that this LibTorch can read: ",
                                       std::string(error.what_without_backtrace()).substr(0, 400)));
  }
}

std::vector<at::Tensor> tensors_of(const c10::IValue& value) {
  if (value.isTensor()) return {value.toTensor()};
  if (value.isTensorList()) return value.toTensorVector();
  if (value.isTuple()) {
    std::vector<at::Tensor> result;
    for (const auto& element : value.toTupleRef().elements())
      for (auto& tensor : tensors_of(element)) result.push_back(std::move(tensor));
    return result;
  }
  throw Error(Errc::Unsupported, message("the network returns a ", value.tagKind(),
                                         ": only tensors, lists and tuples of tensors are known"));
}

}  // namespace

Model capture_torchscript(const std::string& path, const std::vector<at::Tensor>& inputs,
                          const CaptureOptions& options) {
  const torch::jit::GraphOptimizerEnabledGuard no_optimizer(false);  // optimised runs change from call to call
  torch::jit::Module module = load(path);
  for (const auto& submodule : module.named_modules())
    internal::refuse_training(submodule.value.hasattr("training") && submodule.value.is_training(), submodule.name);
  std::vector<NamedTensor> parameters;
  for (const auto& item : module.named_parameters()) parameters.push_back({item.name, item.value});
  for (const auto& item : module.named_buffers()) parameters.push_back({item.name, item.value, true});
  CaptureOptions chosen = options;
  const auto& arguments = module.get_method("forward").function().getSchema().arguments();  // the module, then inputs
  for (std::size_t i = 0; i < inputs.size() && inputs.size() < arguments.size() && options.input_names.empty(); ++i)
    chosen.input_names.push_back(arguments[i + 1].name());
  const ForwardFn forward = [&module](const std::vector<at::Tensor>& x) {
    return tensors_of(module.forward(std::vector<c10::IValue>(x.begin(), x.end())));
  };
  return capture(forward, parameters, inputs, chosen);
}

}  // namespace halftone
