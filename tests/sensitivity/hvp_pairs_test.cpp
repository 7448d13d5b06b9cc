#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "catch.hpp"
#include "dense.hpp"

using namespace halftone;
using dense::Derivatives;
using dense::Fixture;

TEST_CASE("pairs by Hessian products are those of the dense Hessian and of linearised responses") {
  Fixture f({.additions = true});
  f.precisions = {k8, k4, {4, 16}, {16, 4}};
  const Derivatives& exact = dense::derivatives(/*additions=*/true);
  std::vector<at::Tensor> errors;  // by row, [n, D]
  for (std::size_t i = 0; i < f.model.sites.size(); ++i)
    for (const Precision precision : f.precisions) errors.push_back(exact.errors(f, i, precision));
  const at::Tensor d = at::stack(errors, 1);  // [n, M, D]
  const at::Tensor pairs = d.matmul(exact.hessians).matmul(d.transpose(1, 2)).mean(0);
  const at::Tensor responses = d.matmul(exact.responses.transpose(1, 2));
  CHECK(at::allclose(pairs, responses.matmul(responses.transpose(1, 2)).mean(0), 1e-9, 1e-12));
  for (const std::int64_t batch : {1, 2, 3}) {
    f.batch_size = batch;
    const SensitivityTable table = make_hvp_pairs()->measure(f.input());
    REQUIRE(table.pairs);
    CHECK(table.pairs->scale() == 1);
    const at::Tensor measured = at::tensor(at::ArrayRef<double>(table.pairs->values())).view(pairs.sizes());
    CHECK(at::allclose(measured, pairs, 1e-5, 1e-10));
    CHECK(measured.abs().max().item<double>() > 1e-3);
    CHECK(at::equal(measured, measured.t()));
    for (std::size_t i = 0; i < f.model.sites.size(); ++i)
      for (const Precision p : f.precisions)
        CHECK(table.scores[i].at(p) == std::max(0.0, table.pairs->at(i, p, i, p) / 2));
  }
}

TEST_CASE("where errors are small, pairs by Hessian products are those by responses") {
  Fixture f;
  f.precisions = {k8};
  const PairMatrix products = *make_hvp_pairs()->measure(f.input()).pairs;
  const PairMatrix responses = *make_interlayer({.temperature = 1})->measure(f.input()).pairs;
  for (std::size_t i = 0; i < 4; ++i)
    for (std::size_t j = 0; j < 4; ++j) {
      CAPTURE(i, j);
      const double size = std::sqrt(responses.at(i, k8, i, k8) * responses.at(j, k8, j, k8));
      CHECK(products.at(i, k8, j, k8) == Approx(responses.at(i, k8, j, k8)).margin(0.05 * size));
    }
}

TEST_CASE("a product for every change is counted, by what it differentiates") {
  const Fixture f;
  double macs = 0;
  double downstream = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const auto own = static_cast<double>(f.model.sites[i].macs);
    macs += own;
    downstream += own * static_cast<double>(i + 1);
  }
  const SensitivityTable table = make_hvp_pairs()->measure(f.input());
  CHECK(table.forward_passes == Approx(1));
  CHECK(table.backward_passes == Approx(1 + 2 * 2 * downstream / macs));  // two precisions
}
