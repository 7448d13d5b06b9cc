#include "engine/libtorch/binding.hpp"

#include <ATen/ATen.h>

#include "engine/libtorch/quantize_u8.hpp"
#include "halftone/core/error.hpp"

namespace halftone::internal {
namespace {

std::size_t index(ValueId id) { return static_cast<std::size_t>(id); }

const char* name_of(at::ScalarType type) { return type == at::kBFloat16 ? "bf16" : "f32"; }

/// Channels last, where LibTorch's convolutions are fast.
at::MemoryFormat layout_of(const at::Tensor& tensor) {
  return tensor.dim() == 4   ? at::MemoryFormat::ChannelsLast
         : tensor.dim() == 5 ? at::MemoryFormat::ChannelsLast3d
                             : at::MemoryFormat::Contiguous;
}

std::string what_of(const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  return torch_error != nullptr ? torch_error->what_without_backtrace() : error.what();
}

/// Whether all floating results of `node` are of `type`.
bool gives(const Node& node, const Frame& frame, at::ScalarType type) {
  for (const Output& output : node.outputs)
    for (const ValueId id : output.ids)
      if (const at::Tensor& tensor = frame[index(id)];
          tensor.defined() && tensor.is_floating_point() && tensor.scalar_type() != type)
        return false;
  return true;
}

/// The operator of a step, in float32 where there is no other way, run once.
BoundStep bind_operator(const Target& target, const Step& step, Frame& frame) {
  const Node& node = target.model.graph.nodes[step.node];
  if (node.op == "aten::as_strided")
    throw Error(Errc::Unsupported, "it depends on how tensors lie in memory, which is another way here");
  OperatorCall call = call_of(target, node, step.renamed);
  std::string type = step.params ? "u8" : name_of(target.type);
  const bool may_convert = target.type != at::kFloat && !step.params;
  try {
    call(frame);
  } catch (const std::exception&) {
    if (may_convert) {
      call.compute_in(at::kFloat);
      call.give(target.type);
      type = "f32";
    }
    call(frame);
  }
  if (!gives(node, frame, target.type)) {
    call.give(target.type);
    call(frame);
  }
  return {std::move(call), {.name = describe_place(target.model.graph, step.node), .kind = node.op, .type = type}};
}

BoundStep bind_quantize(const Target& target, const Step& step) {
  return {[from = index(step.input), to = index(step.output), params = *step.params](Frame& frame) {
            frame[to] = quantize_u8(frame[from], params);
          },
          {.name = "for " + describe_place(target.model.graph, step.node), .kind = "quantize", .type = "u8"}};
}

BoundStep bind_conversion(const Target& target, const Step& step) {
  return {[id = index(step.input), type = target.type](Frame& frame) {
            // Two steps take half the time of one with images of few channels.
            frame[id] = frame[id].to(type).contiguous(layout_of(frame[id]));
          },
          {.name = target.value(step.input).name, .kind = "convert", .type = name_of(target.type)}};
}

BoundStep bind_site(const Target& target, const Step& step, Frame& frame) {
  BoundStep bound;
  switch (step.kernel) {
    case SiteKernel::Integer:
      bound = {integer_site(target, step), {.type = "u8"}};
      break;
    case SiteKernel::Packed:
      bound = {packed_site(target, step), {.type = name_of(target.type)}};
      break;
    case SiteKernel::Operator:
      bound = bind_operator(target, step, frame);
      break;
    case SiteKernel::Emulated:
      bound = {emulated_site(target, step, static_cast<ValueId>(frame.size() - 1)), {.type = "f32 emulated"}};
  }
  bound.node.name = target.model.sites[step.fused.site].name;
  bound.node.kind = target.model.graph.nodes[step.node].op;
  for (std::size_t i = 1; i < step.fused.nodes.size(); ++i)
    bound.node.kind += " + " + target.model.graph.nodes[step.fused.nodes[i]].op;
  bound.node.sites = {bound.node.name};
  return bound;
}

BoundStep bind_unchecked(const Target& target, const Step& step, Frame& frame) {
  switch (step.kind) {
    case Step::Kind::Quantize:
      return bind_quantize(target, step);
    case Step::Kind::Convert:
      return bind_conversion(target, step);
    case Step::Kind::Site:
      return bind_site(target, step, frame);
    case Step::Kind::Operator:
      break;
  }
  return bind_operator(target, step, frame);
}

}  // namespace

BoundStep bind(const Target& target, const Step& step, Frame& frame) {
  try {
    BoundStep bound = bind_unchecked(target, step, frame);
    bound.run(frame);
    return bound;
  } catch (const std::exception& error) {
    const Graph& graph = target.model.graph;
    throw Error(Errc::Unsupported,
                message("LibTorch cannot run ", graph.nodes[step.node].op, ", ", describe_place(graph, step.node), ": ",
                        what_of(error), "\nAnother engine (\"openvino\") may."));
  }
}

}  // namespace halftone::internal
