#include "engine/libtorch/fusion.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

namespace halftone::internal {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

const Value& value_of(const Graph& graph, ValueId id) { return graph.values[static_cast<std::size_t>(id)]; }

std::optional<double> number(const Argument& argument) {
  if (const auto* real = std::get_if<double>(&argument)) return *real;
  if (const auto* integer = std::get_if<SymInt>(&argument); integer != nullptr && integer->is_fixed())
    return static_cast<double>(integer->offset);
  return std::nullopt;
}

/// The clip that `node` is.
std::optional<PostOps> clip_of(const Node& node) {
  if (node.op == "aten::relu") return PostOps{.low = 0};
  if (node.op == "aten::relu6") return PostOps{.low = 0, .high = 6};
  if (node.op == "aten::clamp_min" && node.overload.empty()) {
    if (const auto low = number(node.arguments[1])) return PostOps{.low = *low};
    return std::nullopt;
  }
  if (node.op != "aten::hardtanh" && (node.op != "aten::clamp" || !node.overload.empty())) return std::nullopt;
  PostOps post;
  for (const std::size_t i : {1U, 2U}) {
    if (std::holds_alternative<None>(node.arguments[i])) continue;
    const auto limit = number(node.arguments[i]);
    if (!limit) return std::nullopt;
    (i == 1 ? post.low : post.high) = *limit;
  }
  return post;
}

/// The activation that `node` is.
std::optional<PostOps> activation_of(const Node& node, const Site& site) {
  if (auto clip = clip_of(node)) return clip;
  if (node.op == "aten::silu") return PostOps{.activation = "swish"};
  if (node.op == "aten::hardswish") return PostOps{.activation = "hardswish"};
  if (node.op == "aten::gelu" && site.kind == SiteKind::Linear)
    return PostOps{.activation = "gelu", .algorithm = std::get<std::string>(node.arguments[1])};
  return std::nullopt;
}

bool is_relu(const PostOps& post) { return post.activation.empty() && post.low == 0 && post.high == kInfinity; }

/// Whether `node` writes its result to memory that nothing else has.
bool makes_own_memory(const Node& node) {
  constexpr std::array<std::string_view, 16> kOperators{
      "aten::convolution", "aten::linear",     "aten::add",   "aten::sub",       "aten::mul",        "aten::relu",
      "aten::hardtanh",    "aten::gelu",       "aten::silu",  "aten::hardswish", "aten::batch_norm", "aten::layer_norm",
      "aten::max_pool2d",  "aten::avg_pool2d", "aten::relu6", "aten::softmax"};
  return std::find(kOperators.begin(), kOperators.end(), node.op) != kOperators.end();
}

class Fuser {
 public:
  Fuser(const Graph& graph, const std::vector<Site>& sites, const std::vector<SiteKernel>& kernels)
      : graph_(graph),
        sites_(sites),
        kernels_(kernels),
        producer_(graph.values.size(), -1),
        readers_(graph.values.size()),
        runs_at_(graph.nodes.size()),
        fused_(unfused(graph, sites)) {
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
      runs_at_[i] = i;
      for (const ValueId id : read_values(graph.nodes[i])) readers_[index(id)].push_back(i);
      for (const auto& output : graph.nodes[i].outputs)
        for (const ValueId id : output.ids) producer_[index(id)] = static_cast<std::ptrdiff_t>(i);
    }
  }

  std::vector<FusedSite> run() {
    for (std::size_t i = 0; i < sites_.size(); ++i) {
      if (kernels_[i] != SiteKernel::Integer && kernels_[i] != SiteKernel::Packed) continue;
      add_residual(fused_[i]);
      add_activation(fused_[i]);
    }
    return std::move(fused_);
  }

 private:
  static std::size_t index(ValueId id) { return static_cast<std::size_t>(id); }

  [[nodiscard]] bool is_output(ValueId id) const {
    return std::find(graph_.outputs.begin(), graph_.outputs.end(), id) != graph_.outputs.end();
  }

  /// The one node that reads `id`, where there is but one.
  [[nodiscard]] std::optional<std::size_t> only_reader(ValueId id) const {
    const auto& readers = readers_[index(id)];
    if (readers.size() != 1 || is_output(id) || taken_.contains(readers[0])) return std::nullopt;
    return readers[0];
  }

  void absorb(FusedSite& fused, std::size_t node) {
    fused.nodes.push_back(node);
    fused.output = graph_.nodes[node].outputs[0].ids[0];
    taken_.insert(node);
    for (const std::size_t member : fused.nodes) runs_at_[member] = fused.position;
  }

  void add_activation(FusedSite& fused) {
    const auto reader = only_reader(fused.output);
    if (!reader) return;
    const Site& site = sites_[fused.site];
    auto post = activation_of(graph_.nodes[*reader], site);
    if (!post || !(clips(site) || (is_relu(*post) && takes_relu(site, kernels_[fused.site])))) return;
    if (fused.post.residual && (site.kind == SiteKind::Linear || !is_relu(*post))) return;
    post->residual = fused.post.residual;
    fused.post = *post;
    absorb(fused, *reader);
  }

  void add_residual(FusedSite& fused) {
    const auto reader = only_reader(fused.output);
    const Site& site = sites_[fused.site];
    if (!reader || !clips(site)) return;
    const Node& add = graph_.nodes[*reader];
    if (add.op != "aten::add" || add.overload != "Tensor" || number(add.arguments[2]) != 1.0) return;
    const auto* left = std::get_if<ValueRef>(&add.arguments[0]);
    const auto* right = std::get_if<ValueRef>(&add.arguments[1]);
    if (left == nullptr || right == nullptr) return;
    const ValueId other = left->id == fused.output ? right->id : left->id;
    if (!fits(other, site) || !can_move(site, *reader)) return;
    if (site.kind == SiteKind::Convolution) {
      if (!can_overwrite(other, fused, *reader)) return;
      overwritten_.emplace_back(other, *reader);
    }
    fused.position = *reader;
    fused.post.residual = other;
    absorb(fused, *reader);
  }

  [[nodiscard]] bool fits(ValueId other, const Site& site) const {
    const Value& value = value_of(graph_, other);
    return value.kind == ValueKind::Computed && value.shape == site.output_shape &&
           value.dtype == value_of(graph_, site.input).dtype;
  }

  /// Whether what `site` reads is still there when node `to` runs.
  [[nodiscard]] bool can_move(const Site& site, std::size_t to) const {
    return std::none_of(overwritten_.begin(), overwritten_.end(),
                        [&](const auto& entry) { return entry.first == site.input && entry.second < to; });
  }

  /// Whether `other` may be gone once node `add` has run in the kernel of `fused`.
  [[nodiscard]] bool can_overwrite(ValueId other, const FusedSite& fused, std::size_t add) const {
    const auto made_by = producer_[index(other)];
    if (made_by < 0 || !makes_own_memory(graph_.nodes[static_cast<std::size_t>(made_by)]) || is_output(other))
      return false;
    // A float kernel would read what it writes; an integer kernel reads a copy.
    if (other == sites_[fused.site].input && kernels_[fused.site] == SiteKernel::Packed) return false;
    const auto& readers = readers_[index(other)];
    return std::all_of(readers.begin(), readers.end(), [&](std::size_t reader) {
      if (reader == add || reader == sites_[fused.site].node) return true;
      return runs_at_[reader] < add && makes_own_memory(graph_.nodes[reader]);
    });
  }

  const Graph& graph_;
  const std::vector<Site>& sites_;
  const std::vector<SiteKernel>& kernels_;
  std::vector<std::ptrdiff_t> producer_;                      ///< of each value; -1 for none
  std::vector<std::vector<std::size_t>> readers_;             ///< nodes, of each value
  std::vector<std::size_t> runs_at_;                          ///< position of each node
  std::set<std::size_t> taken_;                               ///< nodes that belong to a site
  std::vector<std::pair<ValueId, std::size_t>> overwritten_;  ///< and where
  std::vector<FusedSite> fused_;
};

}  // namespace

std::vector<FusedSite> unfused(const Graph& graph, const std::vector<Site>& sites) {
  std::vector<FusedSite> fused;
  for (std::size_t i = 0; i < sites.size(); ++i)
    fused.push_back({.site = i,
                     .position = sites[i].node,
                     .nodes = {sites[i].node},
                     .output = graph.nodes[sites[i].node].outputs[0].ids[0]});
  return fused;
}

std::vector<FusedSite> fuse(const Graph& graph, const std::vector<Site>& sites,
                            const std::vector<SiteKernel>& kernels) {
  return Fuser(graph, sites, kernels).run();
}

}  // namespace halftone::internal
