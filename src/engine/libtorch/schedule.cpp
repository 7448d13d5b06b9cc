#include "engine/libtorch/schedule.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string_view>

#include "halftone/core/error.hpp"

namespace halftone::internal {
namespace {

const Value& value_of(const Graph& graph, ValueId id) { return graph.values[static_cast<std::size_t>(id)]; }

bool is_floating(const Graph& graph, ValueId id) { return info(value_of(graph, id).dtype).floating; }

/// Whether `node` does to integers under `params` what it does to the numbers that they stand for.
bool keeps_integers(const Node& node, const QuantParams& params) {
  constexpr std::array<std::string_view, 14> kMovers{
      "aten::max_pool2d", "aten::flatten", "aten::view",       "aten::reshape", "aten::permute",
      "aten::transpose",  "aten::t",       "aten::contiguous", "aten::squeeze", "aten::unsqueeze",
      "aten::slice",      "aten::select",  "aten::cat",        "aten::dropout"};
  if (node.outputs.size() != 1 || node.outputs[0].ids.size() != 1) return false;
  if (std::find(kMovers.begin(), kMovers.end(), node.op) != kMovers.end()) return true;
  if (params.zero_point != 0) return false;
  return node.op == "aten::relu" || (node.op == "aten::constant_pad_nd" && is_zero(node.arguments[2]));
}

/// Whether an integer site with these operators behind it can write integers under `params`, whose limits are those of
/// a byte or else those of a clip. Relu before integers that can stand for less than 0 is a clip, too.
bool can_write(const FusedSite& fused, const Site& site, const QuantParams& params) {
  if (fused.post.residual) return false;
  if (clips(site)) return fused.post.activation.empty() || params.qmax == 255;
  return params.qmax == 255 && (params.zero_point == 0 || fused.post.low != 0);
}

/// What the readers of a value want it to be.
struct Demand {
  enum class Kind { None, Integer, Several, Float } kind = Kind::None;
  QuantParams params{};

  void add_float() { kind = Kind::Float; }
  void add(const QuantParams& wanted) {
    if (kind == Kind::None)
      *this = {Kind::Integer, wanted};
    else if (kind == Kind::Integer && params != wanted)
      kind = Kind::Several;
  }
};

class Scheduler {
 public:
  Scheduler(const Graph& graph, const std::vector<Site>& sites, const Plan& plan, const Calibration& calibration,
            const ScheduleOptions& options)
      : graph_(graph), sites_(sites), keep_u8_(options.keep_u8), demands_(graph.values.size()) {
    for (std::size_t i = 0; i < sites.size(); ++i) {
      kernels_.push_back(kernel_for(graph, sites[i], plan[i]));
      const int bits = plan[i].activation_bits;
      params_.push_back(bits < 16 ? params(calibration.sites[i].input.at(bits), bits) : QuantParams{});
    }
    fused_ = options.fuse ? fuse(graph, sites, kernels_) : unfused(graph, sites);
    for (const FusedSite& fused : fused_) {
      runs_at_[fused.position] = &fused;
      covered_.insert(fused.nodes.begin(), fused.nodes.end());
    }
  }

  Schedule run() {
    find_demands();
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (const auto found = runs_at_.find(i); found != runs_at_.end())
        add_site(*found->second);
      else if (!covered_.contains(i))
        add_operator(i);
    }
    convert_inputs();
    return std::move(schedule_);
  }

 private:
  Demand& demand(ValueId id) { return demands_[static_cast<std::size_t>(id)]; }

  void find_demands() {
    for (const ValueId id : graph_.outputs) demand(id).add_float();
    for (std::size_t i = graph_.nodes.size(); i-- > 0;) {
      const Node& node = graph_.nodes[i];
      if (const auto found = runs_at_.find(i); found != runs_at_.end()) {
        const FusedSite& fused = *found->second;
        const ValueId input = sites_[fused.site].input;
        if (kernels_[fused.site] == SiteKernel::Integer)
          demand(input).add(params_[fused.site]);
        else
          demand(input).add_float();
        if (fused.post.residual) demand(*fused.post.residual).add_float();
      } else if (!covered_.contains(i)) {
        find_demands_of(node);
      }
    }
  }

  void find_demands_of(const Node& node) {
    std::optional<QuantParams> passed;
    if (node.outputs.size() == 1 && node.outputs[0].ids.size() == 1)
      if (const Demand& wanted = demand(node.outputs[0].ids[0]);
          wanted.kind == Demand::Kind::Integer && keeps_integers(node, wanted.params))
        passed = wanted.params;
    for (const ValueId id : read_values(node))
      if (passed)
        demand(id).add(*passed);
      else
        demand(id).add_float();
  }

  /// The id of the uint8 copy.
  ValueId copy_of(ValueId source, const QuantParams& params) {
    for (std::size_t i = 0; i < schedule_.copies.size(); ++i)
      if (schedule_.copies[i].source == source && schedule_.copies[i].params == params)
        return static_cast<ValueId>(graph_.values.size() + i);
    schedule_.copies.push_back({source, params});
    return static_cast<ValueId>(graph_.values.size() + schedule_.copies.size() - 1);
  }

  /// The same, made before the step that comes next.
  ValueId quantized(ValueId source, const QuantParams& params, std::size_t node) {
    const std::size_t before = schedule_.copies.size();
    const ValueId copy = copy_of(source, params);
    if (schedule_.copies.size() > before)
      schedule_.steps.push_back(
          {.kind = Step::Kind::Quantize, .node = node, .input = source, .output = copy, .params = params});
    return copy;
  }

  void add_site(const FusedSite& fused) {
    const Site& site = sites_[fused.site];
    Step step{.kind = Step::Kind::Site, .node = site.node, .input = site.input, .output = fused.output, .fused = fused};
    step.kernel = kernels_[fused.site];
    if (step.kernel == SiteKernel::Integer) {
      step.input = quantized(site.input, params_[fused.site], site.node);
      const Demand& wanted = demand(fused.output);
      if (keep_u8_ && wanted.kind == Demand::Kind::Integer && can_write(fused, site, wanted.params)) {
        step.params = wanted.params;
        step.output = copy_of(fused.output, wanted.params);
        integers_.insert(fused.output);
      }
    }
    schedule_.steps.push_back(std::move(step));
  }

  void add_operator(std::size_t index) {
    const Node& node = graph_.nodes[index];
    Step step{.kind = Step::Kind::Operator, .node = index};
    const auto reads = read_values(node);
    if (std::any_of(reads.begin(), reads.end(), [&](ValueId id) { return integers_.contains(id); })) {
      const ValueId output = node.outputs[0].ids[0];
      step.params = demand(output).params;
      for (const ValueId id : reads) step.renamed.emplace_back(id, quantized(id, *step.params, index));
      step.renamed.emplace_back(output, copy_of(output, *step.params));
      integers_.insert(output);
    }
    schedule_.steps.push_back(std::move(step));
  }

  /// Inputs of the graph: quantized as they come, then converted for whoever reads floats.
  void convert_inputs() {
    const auto is_input = [&](ValueId id) {
      return std::find(graph_.inputs.begin(), graph_.inputs.end(), id) != graph_.inputs.end();
    };
    auto& steps = schedule_.steps;
    const auto rest = std::stable_partition(steps.begin(), steps.end(), [&](const Step& step) {
      return step.kind == Step::Kind::Quantize && is_input(step.input);
    });
    std::vector<Step> conversions;
    for (const ValueId id : graph_.inputs)
      if (is_floating(graph_, id) && demand(id).kind == Demand::Kind::Float)
        conversions.push_back({.kind = Step::Kind::Convert, .input = id, .output = id});
    steps.insert(rest, conversions.begin(), conversions.end());
  }

  const Graph& graph_;
  const std::vector<Site>& sites_;
  const bool keep_u8_;
  std::vector<SiteKernel> kernels_;  ///< of each site
  std::vector<QuantParams> params_;  ///< of each site's activation
  std::vector<FusedSite> fused_;
  std::map<std::size_t, const FusedSite*> runs_at_;  ///< by node
  std::set<std::size_t> covered_;                    ///< nodes that a site's kernel runs
  std::vector<Demand> demands_;                      ///< by value
  std::set<ValueId> integers_;                       ///< values that exist as uint8 only
  Schedule schedule_;
};

void require_no_writes(const Graph& graph) {
  for (std::size_t i = 0; i < graph.nodes.size(); ++i)
    if (!graph.nodes[i].written.empty())
      throw Error(Errc::Unsupported,
                  message("LibTorch cannot run ", graph.nodes[i].op, ", ", describe_place(graph, i),
                          ": it writes in place, and memory is laid out in another way than where the network was "
                          "captured: use the operator that gives a new tensor"));
}

}  // namespace

Schedule make_schedule(const Graph& graph, const std::vector<Site>& sites, const Plan& plan,
                       const Calibration& calibration, const ScheduleOptions& options) {
  require_no_writes(graph);
  return Scheduler(graph, sites, plan, calibration, options).run();
}

}  // namespace halftone::internal
