#include <ATen/ATen.h>

#include <cmath>

#include "dense.hpp"
#include "failure.hpp"
#include "sensitivity/gradients.hpp"
#include "sensitivity/random.hpp"

using namespace halftone;
using dense::Derivatives;
using dense::Fixture;

namespace {

/// 1/2 (sum_k F_kk delta_k^2 + sum_k A_kk eps_k^2) from the diagonals of the Hessians.
double exact_score(const Fixture& f, const Derivatives& exact, std::size_t site, Precision precision) {
  const at::Tensor diagonals = exact.hessians.diagonal(0, 1, 2);
  return (diagonals * exact.errors(f, site, precision).square()).sum(1).mean().item<double>() / 2;
}

/// One draw by given signs [n, 3] and errors [n, D], sample by sample for the activations and batch by batch for the
/// weights.
double drawn_score(const Fixture& f, const Derivatives& exact, const at::Tensor& signs, std::size_t site,
                   const at::Tensor& errors) {
  const at::Tensor terms = (signs.unsqueeze(2) * exact.responses).sum(1) * errors;  // by sample
  double sum = exact.inputs[site].of(terms).square().sum().item<double>();
  for (const at::Tensor& batch : exact.weights[site].of(terms).split(f.batch_size))
    sum += batch.sum(0).square().sum().item<double>();
  return sum / 2 / static_cast<double>(signs.size(0));
}

}  // namespace

TEST_CASE("a Fisher draw is what a loop over samples gives for the same signs") {
  Fixture f({.additions = true});
  const Derivatives& exact = dense::derivatives(/*additions=*/true);
  for (const std::int64_t batch : {1, 2, 3}) {
    f.batch_size = batch;
    std::vector<at::Tensor> draws;  // [3, 3] each
    for (std::uint64_t draw = 0; draw < 2; ++draw) {
      std::vector<at::Tensor> signs;
      for (std::uint64_t n = 0; n < 3; ++n)
        signs.push_back(
            internal::random_signs(at::empty({3}, at::kDouble), internal::mix(internal::mix(f.seed, draw), n)));
      draws.push_back(at::stack(signs));
    }
    const SensitivityTable table = make_fisher({.draws = 2, .most_draws = 2})->measure(f.input());
    for (std::size_t i = 0; i < f.model.sites.size(); ++i)
      for (const Precision precision : f.precisions) {
        CAPTURE(batch, f.model.sites[i].name, precision.weight_bits);
        const at::Tensor errors = exact.errors(f, i, precision);
        const double wanted =
            (drawn_score(f, exact, draws[0], i, errors) + drawn_score(f, exact, draws[1], i, errors)) / 2;
        CHECK(table.scores[i].at(precision) == Approx(wanted).epsilon(1e-6));
      }
    CHECK(table.forward_passes == Approx(1));
    CHECK(table.backward_passes == Approx(2));
  }
}

TEST_CASE("over all signs, a batch's draws average to the exact diagonal of every sample") {
  Fixture f;
  f.batch_size = 3;
  const Derivatives& exact = dense::derivatives();
  std::vector<double> sums(4);
  std::vector<at::Tensor> errors;
  for (std::size_t i = 0; i < 4; ++i) errors.push_back(exact.errors(f, i, k4));
  for (int pattern = 0; pattern < 512; ++pattern) {
    const at::Tensor signs = at::empty({3, 3}, at::kDouble);
    for (int bit = 0; bit < 9; ++bit) signs.mutable_data_ptr<double>()[bit] = (pattern >> bit & 1) != 0 ? 1 : -1;
    for (std::size_t i = 0; i < 4; ++i) sums[i] += drawn_score(f, exact, signs, i, errors[i]);
  }
  for (std::size_t i = 0; i < 4; ++i) CHECK(sums[i] / 512 == Approx(exact_score(f, exact, i, k4)).epsilon(1e-6));
}

TEST_CASE("Fisher scores lie around the exact diagonal as their standard errors say") {
  Fixture f;
  const Derivatives& exact = dense::derivatives();
  double squares = 0;
  for (f.seed = 0; f.seed < 12; ++f.seed) {
    const SensitivityTable table =
        make_fisher({.draws = 24, .most_draws = 24, .standard_error = 1e-9})->measure(f.input());
    for (std::size_t i = 0; i < 4; ++i)
      squares += std::pow((table.scores[i].at(k4) - exact_score(f, exact, i, k4)) / table.standard_errors[i].at(k4), 2);
  }
  const double root_mean_square = std::sqrt(squares / 48);
  CHECK(root_mean_square > 0.7);
  CHECK(root_mean_square < 1.4);
}

TEST_CASE("Fisher draws end where every standard error is small enough") {
  const Fixture f;
  const SensitivityTable table = make_fisher({.most_draws = 100'000, .standard_error = 0.03})->measure(f.input());
  for (std::size_t i = 0; i < 4; ++i)
    for (const Precision precision : f.precisions)
      CHECK(table.standard_errors[i].at(precision) <= 0.03 * table.scores[i].at(precision));
}

TEST_CASE("one Fisher draw has no standard error and is refused") {
  CHECK(failure([] { (void)make_fisher({.draws = 1}); }).text ==
        "invalid Fisher options: draws is 1: at least 2 are needed");
}

TEST_CASE("Fisher options out of bounds are all named") {
  const auto failed = failure([] { (void)make_fisher({.draws = 0, .most_draws = -1, .standard_error = -1}); });
  CHECK(failed.code == Errc::InvalidArgument);
  CHECK(failed.text ==
        "invalid Fisher options:\n  draws is 0: at least 2 are needed\n  most_draws is -1: at least draws, 0, are "
        "needed\n  standard_error is -1: a share above 0 is needed");
}
