#include <ATen/core/Tensor.h>

#include <algorithm>

#include "cli/command.hpp"
#include "core/scalar_type.hpp"
#include "halftone/core/error.hpp"

namespace halftone::cli {
namespace {

std::string describe(c10::ScalarType type, at::IntArrayRef shape) {
  const auto known = internal::to_dtype(type);
  return message(known ? info(*known).name : at::toString(type), ' ', shape);
}

}  // namespace

std::shared_ptr<const Dataset> open_data(const std::string& spec, const LoadedModel& loaded) {
  std::shared_ptr<const Dataset> data = open_dataset(spec, loaded.data);
  const Graph& graph = loaded.model.graph;
  const Batch first = data->range(0, 1);
  std::vector<std::vector<std::int64_t>> shapes;
  for (const at::Tensor& input : first.inputs) shapes.push_back(input.sizes().vec());
  for (std::size_t i = 0; i < std::min(first.inputs.size(), graph.inputs.size()); ++i) {
    const Value& value = graph.values[static_cast<std::size_t>(graph.inputs[i])];
    const auto wanted = sizes_at(value.shape, find_sizes(graph, shapes));
    const auto type = internal::to_scalar_type(value.dtype);
    const at::Tensor& input = first.inputs[i];
    if (input.sizes() == at::IntArrayRef(wanted) && input.scalar_type() == type) continue;
    throw Error(Errc::BadFile, message("data \"", spec, "\" does not fit the model: one sample of input \"", value.name,
                                       "\" is ", describe(input.scalar_type(), input.sizes()), ", the model takes ",
                                       describe(type, wanted), ": convert the data",
                                       loaded.classes == 0 ? ", or give the shape of its samples as --input" : ""));
  }
  return data;
}

}  // namespace halftone::cli
