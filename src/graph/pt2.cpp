#include "halftone/graph/pt2.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <random>
#include <utility>

#include "graph/example_tensor.hpp"
#include "graph/pt2/dimensions.hpp"
#include "graph/pt2/program.hpp"
#include "graph/recorder.hpp"

namespace halftone {

namespace {

using namespace internal::pt2;

/// What a step left on the stack, into the frame. Symbolic numbers are plain ones here: no shape is unknown.
void store(const Step& step, torch::jit::Stack& stack, Frame& frame) {
  if (stack.size() != step.results.size()) throw Error(Errc::BadFile, "the node has another number of results");
  for (std::size_t i = 0; i < stack.size(); ++i) {
    const Returned& result = step.results[i];
    if (!result.is_list) {
      if (result.slots.empty()) continue;
      if (stack[i].isSymInt()) stack[i] = stack[i].toSymInt().guard_int(__FILE__, __LINE__);
      frame.values[result.slots[0]] = std::move(stack[i]);
      continue;
    }
    const auto tensors = stack[i].toTensorVector();
    if (tensors.size() != result.slots.size())
      throw Error(Errc::InvalidArgument, message("the operator gave ", tensors.size(), " tensors, at export it gave ",
                                                 result.slots.size(), ": do inputs have other sizes?"));
    for (std::size_t k = 0; k < tensors.size(); ++k) frame.values[result.slots[k]] = tensors[k];
  }
}

void execute(const Step& step, torch::jit::Stack& stack, Frame& frame) {
  try {
    stack.clear();
    for (const Term& argument : step.arguments) stack.push_back(argument.in(frame));
    step.call(stack);
    store(step, stack, frame);
  } catch (const Error& error) {
    throw Error(error.code(), message(step.place, ": ", error.what()));
  } catch (const std::exception& error) {
    throw Error(Errc::InvalidArgument,
                message(step.place, " failed: ", internal::without_backtrace(error), ". Do inputs have other sizes?"));
  }
  for (const std::size_t slot : step.last_uses) frame.values[slot] = {};
}

/// Whether `expression` has the symbol `name`, not only a longer one.
bool has_symbol(const std::string& expression, const std::string& name) {
  const auto is_part = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  for (auto at = expression.find(name); at != expression.npos; at = expression.find(name, at + 1)) {
    const auto end = at + name.size();
    if ((at == 0 || !is_part(expression[at - 1])) && (end == expression.size() || !is_part(expression[end])))
      return true;
  }
  return false;
}

/// Whether dimension `d` of all inputs that have it is one symbol, which no other dimension depends on.
bool is_one_symbol(const std::vector<ProgramInput>& inputs, std::size_t d, const std::string& symbol) {
  for (const ProgramInput& input : inputs)
    for (std::size_t i = 0; i < input.sizes.size(); ++i)
      if (i == d ? input.sizes[i].symbol != symbol : has_symbol(input.sizes[i].symbol, symbol)) return false;
  return true;
}

/// Whether the first dimension of every input is the batch, and may be what a capture tries.
bool has_dynamic_batch(const std::vector<ProgramInput>& inputs) {
  constexpr std::int64_t kMostTried = 5;
  const auto has_none = [](const ProgramInput& input) { return input.sizes.empty(); };
  if (inputs.empty() || std::any_of(inputs.begin(), inputs.end(), has_none)) return false;
  const ProgramDimension& batch = inputs[0].sizes[0];
  return batch.is_dynamic() && batch.least <= 1 && batch.most >= kMostTried && is_one_symbol(inputs, 0, batch.symbol);
}

/// The dimension along which inputs may be longer or shorter, beside the batch, and may be what a capture tries.
std::optional<std::int64_t> find_length_dimension(const std::vector<ProgramInput>& inputs) {
  constexpr std::int64_t kLeastCaptured = 3;
  for (const ProgramInput& input : inputs)
    for (std::size_t d = 1; d < input.sizes.size(); ++d) {
      const ProgramDimension& length = input.sizes[d];
      if (length.is_dynamic() && length.size >= kLeastCaptured && length.least <= length.size / 2 &&
          is_one_symbol(inputs, d, length.symbol))
        return static_cast<std::int64_t>(d);
    }
  return std::nullopt;
}

}  // namespace

struct ExportedProgram::Impl {
  Program program;
  at::Device device = at::kCPU;
};

ExportedProgram::ExportedProgram(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ExportedProgram::~ExportedProgram() = default;
ExportedProgram::ExportedProgram(ExportedProgram&&) noexcept = default;
ExportedProgram& ExportedProgram::operator=(ExportedProgram&&) noexcept = default;

ExportedProgram ExportedProgram::load(const std::filesystem::path& path, const LoadOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->program = read_program(Archive(path), options);
  return ExportedProgram(std::move(impl));
}

const std::vector<ProgramInput>& ExportedProgram::inputs() const { return impl_->program.inputs; }
const std::vector<std::string>& ExportedProgram::outputs() const { return impl_->program.output_names; }
const std::vector<NamedTensor>& ExportedProgram::named_tensors() const { return impl_->program.tensors; }

std::vector<at::Tensor> ExportedProgram::run(std::span<const at::Tensor> inputs) const {
  const Program& program = impl_->program;
  check_inputs(program.inputs, inputs, impl_->device);
  const at::AutoGradMode restored_at_end(at::GradMode::is_enabled());
  Frame frame;
  frame.values.resize(program.slots);
  frame.device = impl_->device;
  for (std::size_t i = 0; i < program.tensors.size(); ++i)
    frame.values[program.tensor_slots[i]] = program.tensors[i].tensor;
  for (std::size_t i = 0; i < inputs.size(); ++i) frame.values[program.input_slots[i]] = inputs[i];
  torch::jit::Stack stack;
  for (const Step& step : program.steps) execute(step, stack, frame);
  std::vector<at::Tensor> outputs;
  for (const std::size_t slot : program.outputs) outputs.push_back(frame.values[slot].toTensor());
  return outputs;
}

void ExportedProgram::to(at::Device device) {
  std::map<const at::TensorImpl*, at::Tensor> moved;  // tied weights stay one tensor
  for (auto& [name, tensor, is_buffer] : impl_->program.tensors) {
    at::Tensor& target = moved[tensor.unsafeGetTensorImpl()];
    if (!target.defined()) target = tensor.detach().to(device).requires_grad_(tensor.requires_grad());
    tensor = target;
  }
  impl_->device = device;
}

namespace {

/// The sizes that an input had at export; a file may say anything.
std::vector<std::int64_t> example_sizes(const ProgramInput& input) {
  constexpr std::int64_t kMostElements = INT64_C(1) << 28;
  std::vector<std::int64_t> sizes;
  std::int64_t count = 1;
  for (const auto& dimension : input.sizes) {
    sizes.push_back(dimension.size);
    if (__builtin_mul_overflow(count, dimension.size, &count) || count > kMostElements)
      throw Error(Errc::Unsupported,
                  message("input \"", input.name, "\" has more than ", kMostElements,
                          " elements: export the program with a smaller example, or capture it on inputs of your own"));
  }
  return sizes;
}

}  // namespace

std::vector<at::Tensor> example_inputs(const ExportedProgram& program, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<at::Tensor> tensors;
  for (const ProgramInput& input : program.inputs())
    tensors.push_back(internal::example_tensor(example_sizes(input), input.dtype, random));
  return tensors;
}

Model capture_pt2(const ExportedProgram& program, const CaptureOptions& options) {
  CaptureOptions chosen = options;
  chosen.dynamic_batch = options.dynamic_batch && has_dynamic_batch(program.inputs());
  if (!options.length_dimension)
    chosen.length_dimension = find_length_dimension(program.inputs());
  else if (*options.length_dimension == 0)
    chosen.length_dimension.reset();
  if (options.input_names.empty())
    for (const auto& input : program.inputs()) chosen.input_names.push_back(input.name);
  const ForwardFn forward = [&program](const std::vector<at::Tensor>& inputs) { return program.run(inputs); };
  return capture(forward, program.named_tensors(), example_inputs(program), chosen);
}

Model capture_pt2(const std::filesystem::path& path, const CaptureOptions& options) {
  return capture_pt2(ExportedProgram::load(path), options);
}

}  // namespace halftone
