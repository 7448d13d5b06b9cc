#include "engine/libtorch/site_arguments.hpp"

#include <ATen/ATen.h>

#include <algorithm>

namespace halftone::internal {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// One number for each spatial dimension.
c10::List<std::int64_t> spatial(const Target& target, const Site& site, std::size_t argument) {
  std::vector<std::int64_t> numbers =
      target.sizes(std::get<std::vector<SymInt>>(target.model.graph.nodes[site.node].arguments[argument]));
  if (numbers.size() == 1) numbers.resize(site.weight_shape.size() - 2, numbers[0]);
  return c10::List<std::int64_t>(at::ArrayRef<std::int64_t>(numbers));
}

}  // namespace

UnaryPostOp unary(const PostOps& post, const std::optional<QuantParams>& written) {
  if (!post.activation.empty()) return {.name = post.activation, .algorithm = post.algorithm};
  double low = post.low;
  double high = post.high;
  if (written) {
    const auto real = [&](int level) { return static_cast<double>(written->scale) * (level - written->zero_point); };
    low = low > real(0) ? low : written->zero_point == 0 ? 0 : -kInfinity;
    high = std::min(high, real(written->qmax));
    if (low <= real(0) && high >= real(255)) return {};
  }
  if (low == -kInfinity && high == kInfinity) return {};
  if (low == 0 && high == kInfinity) return {.name = "relu"};
  constexpr double kMost = std::numeric_limits<float>::max();
  UnaryPostOp op{.name = "hardtanh"};
  for (const double limit : {low, high}) op.scalars.push_back(at::Scalar(std::clamp(limit, -kMost, kMost)));
  return op;
}

Window::Window(const Target& target, const Site& site)
    : stride(spatial(target, site, 3)), padding(spatial(target, site, 4)), dilation(spatial(target, site, 5)) {}

c10::IValue bias_of(const Target& target, const Site& site, at::ScalarType type) {
  const auto* ref = std::get_if<ValueRef>(&target.model.graph.nodes[site.node].arguments[2]);
  if (ref == nullptr) return {};
  return target.model.tensors[static_cast<std::size_t>(ref->id)].detach().to(at::kCPU).to(type);
}

Run adding_to(OperatorCall call, ValueId residual) {
  return [call = std::move(call), id = static_cast<std::size_t>(residual)](Frame& frame) {
    frame[id] = frame[id].contiguous(at::MemoryFormat::ChannelsLast);
    call(frame);
  };
}

torch::jit::Stack call_boxed(const char* op, torch::jit::Stack stack) {
  c10::Dispatcher::singleton().findSchemaOrThrow(op, "").callBoxed(stack);
  return stack;
}

}  // namespace halftone::internal
