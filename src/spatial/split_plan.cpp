#include "spatial/split_plan.hpp"

#include <algorithm>
#include <utility>

#include "halftone/core/error.hpp"

namespace halftone::internal {
namespace {

constexpr std::size_t kRows = 2;

}  // namespace

SplitPlan::SplitPlan(const Graph& graph, int ranks, bool gather)
    : graph_(graph), ranks_(ranks), is_split_(graph.values.size()) {
  for (const ValueId id : graph.inputs) {
    const Value& input = graph.values[static_cast<std::size_t>(id)];
    if (input.shape.size() == 4) set_split(id, "input \"" + input.name + '"');
  }
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) handling_.push_back(handle(i, gather));
}

RowSplit SplitPlan::split(ValueId id) const {
  return split_evenly(graph_.values[static_cast<std::size_t>(id)].shape[kRows].offset, ranks_);
}

void SplitPlan::set_split(ValueId id, const std::string& place) {
  if (!graph_.values[static_cast<std::size_t>(id)].shape[kRows].is_fixed())
    throw Error(Errc::Unsupported,
                message("spatial partitioning: the number of rows of ", place,
                        " depends on the batch or the length of inputs: fix the length with `with_length`"));
  is_split_[static_cast<std::size_t>(id)] = true;
}

Handling SplitPlan::handle(std::size_t index, bool gather) {
  const NodeView node(graph_, graph_.nodes[index], is_split_);
  const auto reads = node.reads();
  if (std::none_of(reads.begin(), reads.end(), [&](ValueId id) { return is_split(id); })) return OnWholes{};
  const std::string place = message(node.op(), " (", describe_place(graph_, index), ')');
  if (!node.node().written.empty())  // what it writes may be a copy here that is a view there
    throw Error(Errc::Unsupported, message("spatial partitioning: ", place,
                                           " writes in place into an image whose rows are split over ranks"));
  SplitRule rule = find_split_rule(node);
  if (std::holds_alternative<LocalRows>(rule) || std::holds_alternative<SplitResult>(rule))
    for (const ValueId id : node.results()) set_split(id, "what " + place + " makes");
  if (const auto* local = std::get_if<LocalRows>(&rule)) return *local;
  if (auto* windowed = std::get_if<SplitResult>(&rule)) return std::move(*windowed);
  if (auto* whole = std::get_if<WholeResult>(&rule)) return std::move(*whole);
  if (!gather)
    throw Error(Errc::Unsupported,
                message("spatial partitioning: ", place, " reads an image whose rows are split over ranks: ",
                        std::get<NotSplit>(rule).why, "; SpatialOptions::gather gives it whole images"));
  gathered_.push_back(place);
  return OnGathered{};
}

}  // namespace halftone::internal
