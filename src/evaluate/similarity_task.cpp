#include <ATen/ATen.h>

#include <cmath>
#include <span>

#include "halftone/core/error.hpp"
#include "halftone/evaluate/rank_correlation.hpp"
#include "halftone/evaluate/task.hpp"

namespace halftone {
namespace {

constexpr double kLeastLength = 1e-12;

at::Tensor unit(const at::Tensor& vectors) {
  return vectors / vectors.norm(2, {1}, /*keepdim=*/true).clamp_min(kLeastLength);
}

class SentenceSimilarity final : public Task {
 public:
  [[nodiscard]] std::string name() const override { return "sts"; }
  [[nodiscard]] bool scores_together() const override { return true; }

 private:
  void do_check(const std::vector<at::Tensor>& outputs, const Dataset& data) const override {
    const at::Tensor targets = data.targets();
    if (!targets.defined() || targets.dim() != 1 || !targets.is_floating_point())
      throw Error(Errc::InvalidArgument, message(name(), ": ", data.name(),
                                                 " has no ratings: one floating-point number a sentence is needed"));
    const std::int64_t sentences = targets.size(0);
    if (sentences % 2 != 0 || sentences < 6)
      throw Error(Errc::InvalidArgument, message(name(), ": ", data.name(), " holds ", sentences,
                                                 " sentences: an even number, 6 at least, is needed, two a pair"));
    const at::Tensor pairs = targets.view({-1, 2});
    const at::Tensor torn = pairs.select(1, 0).ne(pairs.select(1, 1)).nonzero();
    if (torn.size(0) > 0)
      throw Error(Errc::InvalidArgument,
                  message(name(), ": sentences ", 2 * torn[0].item<std::int64_t>(), " and ",
                          2 * torn[0].item<std::int64_t>() + 1, " of ", data.name(),
                          " have different ratings, so they are no pair: take whole pairs of the data"));
    if (outputs[0].dim() != 2)
      throw Error(Errc::InvalidArgument, message(name(), ": the network's first output is ", outputs[0].sizes(),
                                                 ": embeddings [sentences, numbers] are needed"));
  }

  [[nodiscard]] at::Tensor do_score(const std::vector<at::Tensor>& outputs,
                                    const at::Tensor& /*targets*/) const override {
    return unit(outputs[0].to(at::kDouble));
  }

  /// Leaving one pair out moves the score by as much as its two sentences are off the mean. Their deviations are scaled
  /// for the standard error to be that of pairs: sum d^2 / (2n (2n - 1)) over sentences = sum d^2 / (n (n - 1)).
  [[nodiscard]] at::Tensor do_score_all(const at::Tensor& parts, const at::Tensor& targets) const override {
    const at::Tensor pairs = parts.view({-1, 2, parts.size(1)});
    const at::Tensor cosines = (pairs.select(1, 0) * pairs.select(1, 1)).sum(1).contiguous();
    const at::Tensor ratings = targets.to(at::kCPU, at::kDouble).view({-1, 2}).select(1, 0).contiguous();
    const auto n = static_cast<std::size_t>(cosines.numel());
    const std::span<const double> x(cosines.const_data_ptr<double>(), n);
    const std::span<const double> y(ratings.const_data_ptr<double>(), n);
    const double score = rank_correlation(x, y).value_or(0);
    const at::Tensor without = at::tensor(rank_correlation_without_each(x, y), at::kDouble);
    const auto count = static_cast<double>(n);
    const at::Tensor deviation = (without.mean() - without) * (count - 1);
    const double scale = std::sqrt((2 * count - 1) / (count - 1));
    return (score + scale * deviation).repeat_interleave(2);
  }

  [[nodiscard]] at::Tensor do_damage(const std::vector<at::Tensor>& outputs,
                                     const std::vector<at::Tensor>& clean) const override {
    // Of unit vectors 1 - cos is half the squared distance, which cannot become negative.
    return (unit(outputs[0].to(at::kDouble)) - unit(clean[0].to(at::kDouble))).square().sum(1) / 2;
  }

  [[nodiscard]] at::Tensor do_response(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& clean,
                                       double /*temperature*/) const override {
    const at::Tensor reference = clean[0].to(at::kDouble);
    const at::Tensor difference = outputs[0].to(at::kDouble) - reference;
    const at::Tensor direction = unit(reference);
    const at::Tensor across = difference - direction * (difference * direction).sum(1, /*keepdim=*/true);
    return across / reference.norm(2, {1}, /*keepdim=*/true).clamp_min(kLeastLength);
  }
};

}  // namespace

std::unique_ptr<Task> make_sentence_similarity() { return std::make_unique<SentenceSimilarity>(); }

}  // namespace halftone
