#include "halftone/evaluate/task.hpp"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <tuple>

#include "evaluate/non_finite.hpp"
#include "halftone/core/error.hpp"

namespace halftone {

namespace {

void require_finite(const Task& task, const std::vector<at::Tensor>& outputs) {
  if (const auto found = internal::find_non_finite(outputs))
    throw Error(Errc::NonFinite, message(task.name(), ": output ", found->output, " is NaN or infinite for sample ",
                                         found->sample, " of the batch: look at the weights, ranges and this sample"));
}

/// What a task's own code gives must be one float64 a sample, or a vector of them.
at::Tensor checked(const Task& task, const char* what, at::Tensor result, std::int64_t samples,
                   std::int64_t dimensions = 1) {
  if (!result.defined() || result.scalar_type() != at::kDouble || result.dim() != dimensions ||
      result.size(0) != samples)
    throw Error(Errc::Internal,
                message("task ", task.name(), " gave ",
                        result.defined() ? message(at::toString(result.scalar_type()), ' ', result.sizes()) : "nothing",
                        " as ", what, " of ", samples, " samples: one ", dimensions == 1 ? "" : "vector of ",
                        "float64 a sample is needed"));
  return result;
}

/// `values` within [low, high], up to rounding, which is taken off.
at::Tensor within(const Task& task, const char* what, const at::Tensor& values, double low, double high) {
  const at::Tensor outside = values.detach().lt(low).logical_or_(values.detach().gt(high));
  if (!outside.any().item<bool>()) return values;
  constexpr double kRounding = 1e-5;  // of float32 as well
  const double least = values.min().item<double>();
  const double most = values.max().item<double>();
  if (least < low - kRounding || most > high + kRounding)
    throw Error(Errc::Internal, message("task ", task.name(), " gave ", least < low - kRounding ? least : most, " as ",
                                        what, " of a sample: from ", low, " to ", high, " is allowed"));
  // A clamp would have half a derivative or none at the ends, where Hessians are taken.
  return at::where(outside, values.detach().clamp(low, high), values);
}

class TopK final : public Task {
 public:
  explicit TopK(std::int64_t k) : k_(k) {}

  [[nodiscard]] std::string name() const override { return message("top", k_); }

 private:
  void do_check(const std::vector<at::Tensor>& outputs, const Dataset& data) const override {
    const at::Tensor targets = data.targets();
    if (!targets.defined())
      throw Error(Errc::InvalidArgument, message(name(), ": ", data.name(), " has no targets to score against"));
    if (targets.dim() != 1 || !at::isIntegralType(targets.scalar_type(), /*includeBool=*/false))
      throw Error(Errc::InvalidArgument,
                  message(name(), ": the targets of ", data.name(), " are ", at::toString(targets.scalar_type()), ' ',
                          targets.sizes(), ": one integer class number a sample is needed"));
    const at::Tensor& logits = outputs[0];
    if (logits.dim() != 2)
      throw Error(Errc::InvalidArgument, message(name(), ": the network's first output is ", logits.sizes(),
                                                 ": logits [samples, classes] are needed"));
    const std::int64_t classes = logits.size(1);
    if (k_ >= classes)
      throw Error(Errc::InvalidArgument,
                  message(name(), ": the network has ", classes,
                          " outputs, so that every answer would count as right; use a smaller k"));
    check_range(targets, classes, data);
  }

  void check_range(const at::Tensor& targets, std::int64_t classes, const Dataset& data) const {
    const at::Tensor wrong = targets.lt(0).logical_or_(targets.ge(classes)).nonzero();
    if (wrong.size(0) == 0) return;
    const auto sample = wrong[0].item<std::int64_t>();
    throw Error(Errc::InvalidArgument, message("target ", targets[sample].item<std::int64_t>(), " of sample ", sample,
                                               " in ", data.name(), " does not fit the network's ", classes,
                                               " outputs: targets are class numbers from 0 to ", classes - 1));
  }

  /// A target's rank: how many classes come before it, those with larger logits and, of equals, those with lower
  /// numbers.
  [[nodiscard]] at::Tensor do_score(const std::vector<at::Tensor>& outputs, const at::Tensor& targets) const override {
    const at::Tensor& logits = outputs[0];
    const at::Tensor target = targets.to(logits.device(), at::kLong).unsqueeze(1);
    const at::Tensor own = logits.gather(1, target);
    const at::Tensor number = at::arange(logits.size(1), target.options());
    const at::Tensor before = logits.gt(own).logical_or_(logits.eq(own).logical_and_(number.lt(target)));
    return before.sum(1).lt(k_).to(at::kDouble);
  }

  [[nodiscard]] std::optional<ScoreRange> do_score_range() const override { return ScoreRange{0, 1}; }

  /// The wrong ones first, which take most off the score still possible, then those that turn wrong most easily.
  [[nodiscard]] at::Tensor do_fragility(const std::vector<at::Tensor>& clean,
                                        const at::Tensor& targets) const override {
    const at::Tensor logits = clean[0].to(at::kDouble);
    const at::Tensor target = targets.to(logits.device(), at::kLong).unsqueeze(1);
    const at::Tensor others = logits.scatter(1, target, -std::numeric_limits<double>::infinity());
    return std::get<0>(others.topk(k_, 1)).select(1, k_ - 1) - logits.gather(1, target).squeeze(1);
  }

  [[nodiscard]] at::Tensor do_damage(const std::vector<at::Tensor>& outputs,
                                     const std::vector<at::Tensor>& clean) const override {
    const at::Tensor p = clean[0].to(at::kDouble).log_softmax(1);
    const at::Tensor q = outputs[0].to(at::kDouble).log_softmax(1);
    const at::Tensor divergence = (p.exp() * (p - q)).sum(1);
    // Rounding may give less than 0. A clamp would have half a derivative or none at 0, where Hessians are taken.
    return at::where(divergence.lt(0), at::zeros_like(divergence), divergence);
  }

  [[nodiscard]] at::Tensor do_response(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& clean,
                                       double temperature) const override {
    const at::Tensor logits = clean[0].to(at::kDouble);
    const at::Tensor p = (logits / temperature).softmax(1);
    const at::Tensor u = outputs[0].to(at::kDouble) - logits;
    return p.sqrt() * (u - (p * u).sum(1, /*keepdim=*/true));
  }

  std::int64_t k_;
};

}  // namespace

std::optional<internal::NonFiniteOutput> internal::find_non_finite(const std::vector<at::Tensor>& outputs) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].numel() == 0) continue;
    const at::Tensor finite = outputs[i].isfinite();
    if (finite.all().item<bool>()) continue;
    const at::Tensor by_sample = finite.reshape({finite.dim() == 0 ? 1 : finite.size(0), -1}).all(1);
    return NonFiniteOutput{i, by_sample.logical_not().nonzero()[0].item<std::int64_t>()};
  }
  return std::nullopt;
}

void Task::check(const std::vector<at::Tensor>& outputs, const Dataset& data) const {
  if (outputs.empty()) throw Error(Errc::InvalidArgument, message(name(), ": the network has no outputs to score"));
  do_check(outputs, data);
}

std::optional<ScoreRange> Task::score_range() const {
  const auto range = do_score_range();
  if (range && !(std::isfinite(range->low) && std::isfinite(range->high) && range->low < range->high))
    throw Error(Errc::Internal, message("task ", name(), ": the range of its scores is ", range->low, " to ",
                                        range->high, ": two finite numbers in ascending order are needed"));
  return range;
}

at::Tensor Task::fragility(const std::vector<at::Tensor>& clean, const at::Tensor& targets) const {
  at::Tensor fragility = checked(*this, "fragility", do_fragility(clean, targets), clean.at(0).size(0));
  if (fragility.isnan().any().item<bool>())
    throw Error(Errc::Internal, message("task ", name(), " gave NaN as fragility: samples cannot be ordered by it"));
  return fragility;
}

at::Tensor Task::do_fragility(const std::vector<at::Tensor>& clean, const at::Tensor& /*targets*/) const {
  return at::zeros({clean.at(0).size(0)}, at::kDouble);
}

at::Tensor Task::score(const std::vector<at::Tensor>& outputs, const at::Tensor& targets) const {
  require_finite(*this, outputs);
  const at::Tensor score =
      checked(*this, "score", do_score(outputs, targets), outputs.at(0).size(0), scores_together() ? 2 : 1);
  const auto range = score_range();
  return range ? within(*this, "score", score, range->low, range->high) : score;
}

at::Tensor Task::damage(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& clean) const {
  require_finite(*this, outputs);
  const at::Tensor damage = checked(*this, "damage", do_damage(outputs, clean), outputs.at(0).size(0));
  return within(*this, "damage", damage, 0, std::numeric_limits<double>::infinity());
}

at::Tensor Task::response(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& clean,
                          double temperature) const {
  require_finite(*this, outputs);
  if (!(temperature > 0))
    throw Error(Errc::InvalidArgument, message("temperature is ", temperature, ": a number above 0 is needed"));
  return checked(*this, "response", do_response(outputs, clean, temperature), outputs.at(0).size(0), 2);
}

at::Tensor Task::score_all(const at::Tensor& parts, const at::Tensor& targets) const {
  return checked(*this, "scores", do_score_all(parts, targets), parts.size(0));
}

at::Tensor Task::do_score_all(const at::Tensor& /*parts*/, const at::Tensor& /*targets*/) const {
  throw Error(Errc::Internal, message("task ", name(),
                                      " scores samples together, and does not say how: override "
                                      "Task::do_score_all"));
}

at::Tensor Task::do_response(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& clean,
                             double /*temperature*/) const {
  std::vector<at::Tensor> differences;
  std::vector<at::Tensor> references;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (!at::isFloatingType(outputs[i].scalar_type())) continue;
    references.push_back(clean[i].to(at::kDouble).flatten(1));
    differences.push_back(outputs[i].to(at::kDouble).flatten(1) - references.back());
  }
  if (differences.empty())
    throw Error(Errc::Unsupported, message("task ", name(),
                                           ": the network has no floating-point output to compare: "
                                           "override Task::do_response"));
  const at::Tensor reference = at::cat(references, 1);
  const at::Tensor scale = reference.square().mean(1, /*keepdim=*/true).sqrt().clamp_min(1e-12);
  return at::cat(differences, 1) / (scale * std::sqrt(static_cast<double>(reference.size(1)) / 2));
}

std::unique_ptr<Task> make_top_k(std::int64_t k) {
  if (k < 1) throw Error(Errc::InvalidArgument, message("top-k with k = ", k, ": at least 1 is needed"));
  return std::make_unique<TopK>(k);
}

}  // namespace halftone
