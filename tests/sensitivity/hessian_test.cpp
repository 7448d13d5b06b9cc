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

/// What a metric does on its first batch, with the gradient of damage and all variables, weight and input of site 0, …
template <class Work>
void with_gradient(const Fixture& f, const Work& work) {
  internal::GradientLoop loop(f.input(), "test", {.inputs = true, .second = true});
  loop.run(
      1,
      [&](const internal::GradientPass& pass, const auto& step) {
        internal::Tensors variables;
        for (std::size_t i = 0; i < pass.weights.size(); ++i) {
          variables.push_back(pass.weights[i]);
          variables.push_back(pass.inputs[i]);
        }
        const at::Tensor damage = f.task->damage(pass.outputs, pass.clean).sum();
        work(internal::differentiable_gradient("test", damage, variables), variables);
        step();
        return internal::GradientLoop::Work{};
      },
      [](std::int64_t, std::span<const double>) {}, /*most_batches=*/1);
}

double distance(double value, double exact, double standard_error) { return std::abs(value - exact) / standard_error; }

}  // namespace

TEST_CASE("a product with the Hessian of damage is one with the Gauss-Newton matrix") {
  Fixture f;
  f.batch_size = 3;
  const Derivatives& exact = dense::derivatives();
  with_gradient(f, [&](const internal::Tensors& gradient, const internal::Tensors& variables) {
    internal::Tensors directions;
    at::Tensor all = at::zeros({3, exact.hessians.size(1)}, at::kDouble);
    for (std::size_t i = 0; i < variables.size(); ++i) {
      CHECK(gradient[i].abs().max().item<double>() < 1e-12);
      directions.push_back(internal::random_normal(variables[i], i));
      const auto& slice = i % 2 == 0 ? exact.weights[i / 2] : exact.inputs[i / 2];
      slice.of(all).copy_(i % 2 == 0 ? directions[i].flatten() : directions[i].flatten(1));
    }
    const at::Tensor wanted = exact.hessians.matmul(all.unsqueeze(2)).squeeze(2);  // by sample
    const auto products = internal::products("test", gradient, directions, variables);
    for (std::size_t i = 0; i < variables.size(); ++i) {
      const bool is_weight = i % 2 == 0;
      const at::Tensor of_site = (is_weight ? exact.weights[i / 2] : exact.inputs[i / 2]).of(wanted);
      CAPTURE(i);
      CHECK(at::allclose(is_weight ? products[i].flatten() : products[i].flatten(1),
                         is_weight ? of_site.sum(0) : of_site, 1e-6, 1e-7));
    }
  });
}

TEST_CASE("over all signs of a weight, the others' held, probes average to the exact trace") {
  Fixture f;
  f.batch_size = 3;
  const Derivatives& exact = dense::derivatives();
  constexpr std::size_t kRight = 2;
  REQUIRE(f.model.sites[kRight].name == "right");
  with_gradient(f, [&](const internal::Tensors& gradient, const internal::Tensors& variables) {
    double sum = 0;
    for (int pattern = 0; pattern < 16; ++pattern) {
      internal::Tensors directions;
      for (std::size_t i = 0; i < variables.size(); ++i)
        directions.push_back(internal::random_signs(variables[i], i) * (i % 2 == 0 ? 1 : 0));
      at::Tensor& signs = directions[2 * kRight];
      for (int bit = 0; bit < 4; ++bit) signs.view(-1)[bit] = (pattern >> bit & 1) != 0 ? 1 : -1;
      const auto products = internal::products("test", gradient, directions, variables);
      sum += (signs * products[2 * kRight]).sum().item<double>();
    }
    CHECK(sum / 16 == Approx(dense::trace(exact.weights[kRight].block(exact.hessians.sum(0)))).epsilon(1e-6));
  });
}

TEST_CASE("traces lie around the exact ones as their standard errors say") {
  Fixture f;
  const Derivatives& exact = dense::derivatives();
  for (const HessianProbe probe : {HessianProbe::Outputs, HessianProbe::Weights}) {
    double squares = 0;
    for (f.seed = 0; f.seed < 8; ++f.seed) {
      const SensitivityTable table =
          make_hessian({.probe = probe, .probes = 12, .most_probes = 12, .standard_error = 1e-9})->measure(f.input());
      for (std::size_t i = 0; i < 4; ++i) {
        CHECK(table.scores[i].at(k8) == table.scores[i].at(k4));
        const double trace = dense::trace(exact.weights[i].block(exact.hessians.mean(0)));
        squares += std::pow(distance(table.scores[i].at(k8), trace, table.standard_errors[i].at(k8)), 2);
      }
    }
    const double root_mean_square = std::sqrt(squares / 32);
    CHECK(root_mean_square > 0.7);
    CHECK(root_mean_square < 1.4);
  }
}

TEST_CASE("a probe of the outputs is the length of what signs give through the response's Jacobian") {
  Fixture f({.additions = true});
  f.batch_size = 3;
  const Derivatives& exact = dense::derivatives(/*additions=*/true);
  const SensitivityTable table = make_hessian({.probes = 2, .most_probes = 2})->measure(f.input());
  std::vector<double> wanted(f.model.sites.size());
  for (std::uint64_t draw = 0; draw < 2; ++draw) {
    const at::Tensor signs =
        internal::signs_of_samples(at::empty({3, 3}, at::kDouble), {0, 0, 3}, internal::mix(f.seed, draw));
    const at::Tensor gradients = (signs.unsqueeze(2) * exact.responses).sum(1);  // [n, D], by sample
    for (std::size_t i = 0; i < wanted.size(); ++i)
      wanted[i] += f.model.sites[i].has_weight() ? exact.weights[i].of(gradients.sum(0)).square().sum().item<double>()
                                                 : exact.inputs[i].of(gradients).square().sum().item<double>();
  }
  for (std::size_t i = 0; i < wanted.size(); ++i)
    CHECK(table.scores[i].at(k4) == Approx(wanted[i] / 2 / 3).epsilon(1e-6));
}

TEST_CASE("probes end where every standard error is small enough, or at their limit") {
  const Fixture f;
  for (const HessianProbe probe : {HessianProbe::Outputs, HessianProbe::Weights}) {
    const SensitivityTable table =
        make_hessian({.probe = probe, .most_probes = 100'000, .standard_error = 0.1})->measure(f.input());
    for (std::size_t i = 0; i < 4; ++i) CHECK(table.standard_errors[i].at(k8) <= 0.1 * table.scores[i].at(k8));
  }
  // Three rounds of all three samples: 4, 16 and 20 probes.
  HessianOptions options{.most_probes = 20, .standard_error = 1e-9};
  const SensitivityTable by_outputs = make_hessian(options)->measure(f.input());
  CHECK(by_outputs.forward_passes == Approx(3));
  CHECK(by_outputs.backward_passes == Approx(20));
  // Before them scales from one batch of two samples: a forward, a backward and two products.
  options.probe = HessianProbe::Weights;
  const SensitivityTable by_weights = make_hessian(options)->measure(f.input());
  CHECK(by_weights.forward_passes == Approx(2.0 / 3 + 3));
  CHECK(by_weights.backward_passes == Approx(2.0 / 3 * (1 + 2 * 2) + 3 + 2 * 20));
}

TEST_CASE("operands of additions are scored by the trace of their activation") {
  const Fixture f({.additions = true});
  REQUIRE(f.model.sites.size() == 6);
  const Derivatives& exact = dense::derivatives(/*additions=*/true);
  for (const HessianProbe probe : {HessianProbe::Outputs, HessianProbe::Weights}) {
    const HessianOptions options{.probe = probe, .probes = 60, .most_probes = 60};
    const SensitivityTable table = make_hessian(options)->measure(f.input());
    const SensitivityTable with_errors = make_hessian_error(options)->measure(f.input());
    for (std::size_t i = 0; i < 6; ++i) {
      const bool has_weight = f.model.sites[i].has_weight();
      const at::Tensor mean = exact.hessians.mean(0);
      const double trace = dense::trace((has_weight ? exact.weights[i] : exact.inputs[i]).block(mean));
      CAPTURE(f.model.sites[i].name);
      CHECK(distance(table.scores[i].at(k8), trace, table.standard_errors[i].at(k8)) < 4);
      const double of_input = f.calibration.sites[i].input.at(4).mean_squared_error;
      const double of_weight =
          has_weight ? exact.weights[i].of(exact.errors(f, i, k4))[0].square().mean().item<double>() : 0;
      CHECK(with_errors.scores[i].at(k4) ==
            Approx(table.scores[i].at(k4) * (has_weight ? of_weight : of_input)).epsilon(1e-6));
    }
  }
}

TEST_CASE("an operand left at 16 bits has no share in the Hessian times error") {
  Fixture f({.additions = true});
  f.precisions = {{16, 8}, {8, 16}};
  const SensitivityTable table = make_hessian_error({.probes = 2, .most_probes = 2})->measure(f.input());
  for (std::size_t i = 0; i < 6; ++i) CHECK((table.scores[i].at({16, 8}) == 0) == f.model.sites[i].has_weight());
  for (std::size_t i = 0; i < 6; ++i) CHECK((table.scores[i].at({8, 16}) == 0) == !f.model.sites[i].has_weight());
}

TEST_CASE("Hessian options out of bounds are all named") {
  const auto failed = failure([] { (void)make_hessian({.probes = 1, .most_probes = 0, .standard_error = 0}); });
  CHECK(failed.code == Errc::InvalidArgument);
  CHECK(failed.text ==
        "invalid Hessian options:\n  probes is 1: at least 2 are needed\n  most_probes is 0: at least probes, 1, are "
        "needed\n  standard_error is 0: a share above 0 is needed");
}
