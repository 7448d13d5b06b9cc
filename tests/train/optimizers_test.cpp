#include <ATen/ATen.h>
#include <torch/serialize/archive.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "catch.hpp"
#include "halftone/core/error.hpp"
#include "halftone/train/lamb.hpp"
#include "halftone/train/lars.hpp"
#include "train/norms.hpp"

using namespace halftone;

namespace {

using Numbers = std::vector<double>;

constexpr int kSteps = 6;
constexpr std::size_t kCount = 6;

/// A weight [2, 3] and gradients for each step that nobody would call round.
Numbers start() { return {0.3, -0.2, 0.7, 1.1, -0.05, 0.4}; }
Numbers gradient(int step) {
  Numbers g;
  for (std::size_t i = 0; i < kCount; ++i) g.push_back(std::sin(1.0 + 2.0 * static_cast<double>(i) + 0.7 * step));
  return g;
}
double rate(int step) { return 2.0 / (1 + step); }

double norm(const Numbers& x) {
  double sum = 0;
  for (const double v : x) sum += v * v;
  return std::sqrt(sum);
}

at::Tensor tensor(const Numbers& numbers) { return at::tensor(numbers, at::kDouble).view({2, 3}).clone(); }
at::Tensor parameter(const Numbers& numbers) { return tensor(numbers).requires_grad_(true); }

void step(torch::optim::Optimizer& optimizer, at::Tensor& w, int number) {
  w.mutable_grad() = tensor(gradient(number));
  for (auto& group : optimizer.param_groups()) group.options().set_lr(rate(number));
  optimizer.step();
}

Numbers lars_by_hand(bool scaled, bool adapt) {
  constexpr double kMomentum = 0.9, kDecay = 0.02, kEta = 0.05, kEpsilon = 1e-5;
  Numbers w = start();
  Numbers v(kCount, 0);
  for (int t = 0; t < kSteps; ++t) {
    const Numbers g = gradient(t);
    const double lam = adapt ? kEta * norm(w) / (norm(g) + kDecay * norm(w) + kEpsilon) : 1;
    for (std::size_t i = 0; i < kCount; ++i) {
      const double decayed = g[i] + kDecay * w[i];
      if (scaled) {
        v[i] = kMomentum * v[i] + rate(t) * lam * decayed;
        w[i] -= v[i];
      } else {
        v[i] = kMomentum * v[i] + decayed;
        w[i] -= rate(t) * lam * v[i];
      }
    }
  }
  return w;
}

LarsOptions lars_options(bool scaled) {
  return LarsOptions(1).weight_decay(0.02).eta(0.05).form(scaled ? LarsForm::Scaled : LarsForm::Unscaled);
}

Numbers lamb_by_hand(double most_trust) {
  constexpr double kBeta1 = 0.9, kBeta2 = 0.99, kEpsilon = 1e-6, kDecay = 0.02;
  Numbers w = start();
  Numbers m(kCount, 0);
  Numbers v(kCount, 0);
  for (int t = 0; t < kSteps; ++t) {
    const Numbers g = gradient(t);
    Numbers r(kCount);
    for (std::size_t i = 0; i < kCount; ++i) {
      m[i] = kBeta1 * m[i] + (1 - kBeta1) * g[i];
      v[i] = kBeta2 * v[i] + (1 - kBeta2) * g[i] * g[i];
      const double mean = m[i] / (1 - std::pow(kBeta1, t + 1));
      const double square = v[i] / (1 - std::pow(kBeta2, t + 1));
      r[i] = mean / (std::sqrt(square) + kEpsilon) + kDecay * w[i];
    }
    const double trust = std::min(norm(w) / norm(r), most_trust);
    for (std::size_t i = 0; i < kCount; ++i) w[i] -= rate(t) * trust * r[i];
  }
  return w;
}

LambOptions lamb_options() { return LambOptions(1).beta2(0.99).weight_decay(0.02); }

/// Steps, saves halfway into another optimizer and goes on there.
template <class Optimizer, class Options>
void check_that_state_survives(const Options& options) {
  at::Tensor w = parameter(start());
  Optimizer first({w}, options);
  for (int t = 0; t < kSteps; ++t) {
    if (t == kSteps / 2) {
      torch::serialize::OutputArchive out;
      first.save(out);
      std::stringstream stream;
      out.save_to(stream);
      at::Tensor copy = w.detach().clone().requires_grad_(true);
      Optimizer second({copy}, Options(77));
      torch::serialize::InputArchive in;
      in.load_from(stream);
      second.load(in);
      for (int later = t; later < kSteps; ++later) step(second, copy, later);
      for (int later = t; later < kSteps; ++later) step(first, w, later);
      CHECK(at::equal(w, copy));
      return;
    }
    step(first, w, t);
  }
}

}  // namespace

TEST_CASE("sums of squares do not depend on how a tensor is cut") {
  const at::Tensor x = at::randn({3, 100001}, at::make_generator<at::CPUGeneratorImpl>(1)).abs();
  const double exact = x.to(at::kDouble).square().sum().item<double>();
  const auto of = [](const at::Tensor& t) { return internal::squared_norm(t).item<double>(); };
  CHECK(std::abs(of(x) / exact - 1) < 1e-12);
  CHECK(std::abs(of(x.t()) / exact - 1) < 1e-12);
  const at::Tensor flat = x.view(-1);
  CHECK(std::abs((of(flat.narrow(0, 0, 12345)) + of(flat.narrow(0, 12345, flat.numel() - 12345))) / exact - 1) < 1e-12);
  CHECK(of(at::zeros({0})) == 0);
}

TEST_CASE("both forms of LARS step as written out in loops") {
  for (const bool scaled : {true, false}) {
    at::Tensor w = parameter(start());
    Lars optimizer({w}, lars_options(scaled));
    for (int t = 0; t < kSteps; ++t) step(optimizer, w, t);
    CAPTURE(scaled);
    CHECK(at::allclose(w, tensor(lars_by_hand(scaled, true)), 1e-12, 1e-14));
  }
  // The rate changes, so they are two methods.
  CHECK_FALSE(at::allclose(tensor(lars_by_hand(true, true)), tensor(lars_by_hand(false, true)), 1e-3, 1e-3));
}

TEST_CASE("LARS without adaptation is momentum with decay") {
  at::Tensor w = parameter(start());
  Lars optimizer({w}, lars_options(true).adapt(false));
  for (int t = 0; t < kSteps; ++t) step(optimizer, w, t);
  CHECK(at::allclose(w, tensor(lars_by_hand(true, false)), 1e-12, 1e-14));
}

TEST_CASE("LAMB steps as written out in loops, its trust ratio bounded or not") {
  for (const double most : {1e9, 0.2}) {
    at::Tensor w = parameter(start());
    Lamb optimizer({w}, lamb_options().most_trust(most));
    for (int t = 0; t < kSteps; ++t) step(optimizer, w, t);
    CAPTURE(most);
    CHECK(at::allclose(w, tensor(lamb_by_hand(most)), 1e-12, 1e-14));
  }
  CHECK_FALSE(at::allclose(tensor(lamb_by_hand(1e9)), tensor(lamb_by_hand(0.2)), 1e-3, 1e-3));
}

TEST_CASE("weights of norm 0 move with a scale of 1") {
  at::Tensor w = parameter(Numbers(kCount, 0));
  w.mutable_grad() = at::ones({2, 3}, at::kDouble);
  Lars(std::vector<at::Tensor>{w}, LarsOptions(0.5)).step();
  CHECK(at::allclose(w, at::full({2, 3}, -0.5, at::kDouble)));
  at::Tensor u = parameter(Numbers(kCount, 0));
  u.mutable_grad() = at::ones({2, 3}, at::kDouble);
  Lamb(std::vector<at::Tensor>{u}, LambOptions(0.5)).step();
  CHECK(at::allclose(u, at::full({2, 3}, -0.5, at::kDouble), 1e-5));
}

TEST_CASE("vectors are neither adapted nor decayed, and parameters without a gradient stay") {
  at::Tensor w = parameter(start());
  at::Tensor bias = at::ones({3}, at::kDouble).requires_grad_(true);
  at::Tensor idle = parameter(start());
  bias.mutable_grad() = at::ones({3}, at::kDouble);
  w.mutable_grad() = tensor(gradient(0));
  const std::vector<at::Tensor> all{w, bias, idle};
  Lars lars(Lars::groups(all, LarsOptions(0.25)), LarsOptions(0.25));
  REQUIRE(lars.param_groups().size() == 2);
  lars.step();
  CHECK(at::equal(bias, at::full({3}, 0.75, at::kDouble)));
  CHECK(at::equal(idle, tensor(start())));
  Lamb lamb(Lamb::groups(all, LambOptions(0.25)), LambOptions(0.25));
  lamb.step();
  CHECK(at::allclose(bias, at::full({3}, 0.5, at::kDouble), 1e-5));
  CHECK(at::equal(idle, tensor(start())));
  CHECK(Lars::groups({w}, LarsOptions(1)).size() == 1);
}

TEST_CASE("state and options of LARS and LAMB survive being saved") {
  check_that_state_survives<Lars>(lars_options(false));
  check_that_state_survives<Lamb>(lamb_options().most_trust(0.3));
}

TEST_CASE("LARS and LAMB refuse options out of range") {
  at::Tensor w = parameter(start());
  CHECK_THAT(error_message([&] { Lars({w}, LarsOptions(-1).eta(-2)); }),
             Catch::Contains("rate is -1: at least 0 is needed") && Catch::Contains("eta is -2"));
  CHECK_THAT(error_message([&] { Lamb({w}, LambOptions(1).beta1(1)); }),
             Catch::Contains("beta1 is 1: 0 to below 1 is needed"));
  CHECK_THAT(error_message([&] { Lamb({w}, LambOptions(1).least_trust(2).most_trust(1)); }),
             Catch::Contains("most_trust is 1: at least least_trust is needed"));
}
