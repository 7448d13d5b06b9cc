#include "spatial/local_rows.hpp"

#include <cstdint>
#include <optional>
#include <set>

namespace halftone {
namespace {

const std::set<std::string_view> kLocal{"abs",         "add",         "addcdiv",     "addcmul",     "alias",
                                        "batch_norm",  "bitwise_and", "bitwise_not", "bitwise_or",  "ceil",
                                        "celu",        "clamp",       "clamp_max",   "clamp_min",   "clone",
                                        "contiguous",  "cos",         "detach",      "div",         "dropout",
                                        "elu",         "eq",          "erf",         "exp",         "feature_dropout",
                                        "floor",       "full_like",   "ge",          "gelu",        "gt",
                                        "hardsigmoid", "hardswish",   "hardtanh",    "le",          "leaky_relu",
                                        "lerp",        "log",         "log1p",       "log_sigmoid", "logical_and",
                                        "logical_not", "logical_or",  "lt",          "masked_fill", "maximum",
                                        "minimum",     "mish",        "mul",         "ne",          "neg",
                                        "ones_like",   "pow",         "prelu",       "reciprocal",  "relu",
                                        "relu6",       "round",       "rsqrt",       "rsub",        "selu",
                                        "sigmoid",     "sign",        "silu",        "sin",         "softplus",
                                        "sqrt",        "square",      "sub",         "tanh",        "threshold",
                                        "to",          "type_as",     "where",       "xlogy",       "zeros_like",
                                        "_to_copy"};

}  // namespace

bool internal::is_local_operator(std::string_view name) { return kLocal.contains(name); }

std::string internal::why_not_local(const NodeView& node) {
  std::optional<std::int64_t> rows;
  for (const ValueId id : node.reads()) {
    if (!node.is_split(id)) continue;
    if (rows && *rows != node.shape(id)[2].offset) return "it joins images of unequal numbers of rows";
    rows = node.shape(id)[2].offset;
  }
  for (const ValueId id : node.reads()) {
    const Shape& shape = node.shape(id);
    if (node.is_split(id) || shape.size() < 2) continue;
    const SymInt size = shape[shape.size() - 2];
    if (shape.size() > 4 || (size != SymInt{1} && size != SymInt{*rows}))
      return "it joins an image with a tensor of another number of rows";
  }
  for (const ValueId id : node.results())
    if (node.shape(id).size() != 4 || node.shape(id)[2] != SymInt{*rows})
      return "its result has other rows than what it reads";
  return {};
}

}  // namespace halftone
