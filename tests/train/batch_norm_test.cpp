#include "halftone/train/batch_norm.hpp"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include "catch.hpp"
#include "distributed/on_ranks.hpp"
#include "halftone/train/batch_norm_module.hpp"
#include "train/joined_batch_norm.hpp"

using namespace halftone;
using namespace joined_batch;

namespace {

std::vector<Result> distributed(const Case& c) {
  return on_ranks(static_cast<int>(c.samples.size()),
                  [&](Communicator& communicator) { return distributed(c, communicator); });
}

void check_equal(const Case& c, double tolerance) {
  const Result whole = joined(c);
  const auto parts = distributed(c);
  const auto close = [&](const at::Tensor& a, const at::Tensor& b) { return at::allclose(a, b, tolerance, tolerance); };
  std::vector<at::Tensor> outputs, inputs;
  at::Tensor weight = at::zeros({kChannels}, c.dtype);
  at::Tensor bias = at::zeros({kChannels}, c.dtype);
  for (const auto& part : parts) {
    outputs.push_back(part.output);
    inputs.push_back(part.input_gradient);
    if (c.affine) weight += part.weight_gradient;
    if (c.affine) bias += part.bias_gradient;
    CHECK(close(part.running_mean, whole.running_mean));
    CHECK(close(part.running_var, whole.running_var));
    CHECK(at::equal(part.running_mean, parts[0].running_mean));
    CHECK(at::equal(part.running_var, parts[0].running_var));
  }
  CHECK(close(at::cat(outputs), whole.output));
  CHECK(close(at::cat(inputs), whole.input_gradient));
  if (!c.affine) return;
  CHECK(close(weight, whole.weight_gradient));
  CHECK(close(bias, whole.bias_gradient));
}

/// Sum over ranks of direction times output.
double joint_loss(Communicator& communicator, const Setting& setting, const at::Tensor& x,
                  const at::Tensor& direction) {
  const at::NoGradGuard no_gradient;
  const at::Tensor y =
      distributed_batch_norm(x, {setting.tensors.weight, setting.tensors.bias, {}, {}}, kOptions, communicator);
  const at::Tensor loss = (y * direction).sum().reshape({1});
  communicator.all_reduce(loss);
  return loss.item<double>();
}

}  // namespace

TEST_CASE("batch norm over ranks is batch norm of the joined batch") {
  for (const auto& samples : std::vector<std::vector<std::int64_t>>{{5}, {3, 3}, {1, 4}, {0, 5}, {2, 0, 3, 1}})
    for (const auto& rest : std::vector<std::vector<std::int64_t>>{{}, {4}, {3, 2}})
      for (const bool affine : {true, false}) {
        CAPTURE(samples, rest, affine);
        check_equal({.samples = samples, .rest = rest, .affine = affine}, 1e-10);
      }
  check_equal({.samples = {2, 3}, .rest = {3, 2}, .dtype = at::kFloat}, 1e-5);
}

TEST_CASE("a mean far from 0 costs no more digits than in one process") {
  // The sum of squares, 1e8 a value, has no digit left for a variance of 1 in float32.
  const Case c{.samples = {40, 50, 0, 30}, .rest = {4, 4}, .dtype = at::kFloat, .shift = 1e4};
  Setting exact(c);
  const at::Tensor x = exact.input.to(at::kDouble);
  const at::Tensor variance = x.var(at::IntArrayRef{0, 2, 3}, false, true);
  const at::Tensor wanted = (x - x.mean({0, 2, 3}, true)) / (variance + kOptions.epsilon).sqrt();
  Case plain = c;
  plain.affine = false;
  std::vector<at::Tensor> outputs;
  for (const auto& part : distributed(plain)) outputs.push_back(part.output);
  CHECK((at::cat(outputs) - wanted).abs().max().item<double>() < 2e-3);
  CHECK((joined(plain).output - wanted).abs().max().item<double>() < 2e-3);
}

TEST_CASE("gradients of batch norm over ranks are those of finite differences") {
  const Case c{.samples = {2, 3}, .rest = {2}};
  const auto errors = on_ranks(2, [&](Communicator& communicator) {
    const Setting setting(c);
    const int rank = communicator.rank();
    const auto own = [&](const at::Tensor& all) {
      return all.narrow(0, first_sample(c, rank), c.samples[static_cast<std::size_t>(rank)]).clone();
    };
    at::Tensor x = own(setting.input).requires_grad_(true);
    const at::Tensor direction = own(setting.direction);
    (distributed_batch_norm(x, {setting.tensors.weight, setting.tensors.bias, {}, {}}, kOptions, communicator) *
     direction)
        .sum()
        .backward();
    constexpr double kStep = 1e-6;
    double error = 0;
    for (std::int64_t e = 0; e < setting.input.numel(); ++e) {
      const auto shifted = [&](double by) {
        at::Tensor all = setting.input.clone();
        all.view(-1)[e] += by;
        return joint_loss(communicator, setting, own(all), direction);
      };
      const double slope = (shifted(kStep) - shifted(-kStep)) / (2 * kStep);
      const std::int64_t first = first_sample(c, rank) * setting.input.stride(0);
      if (e >= first && e < first + x.numel())
        error = std::max(error, std::abs(x.grad().view(-1)[e - first].item<double>() - slope));
    }
    return error;
  });
  for (const double error : errors) CHECK(error < 1e-7);
}

TEST_CASE("groups of neighbours normalize by themselves") {
  const auto means = on_ranks(4, [](Communicator& communicator) {
    const auto group = neighbours(communicator, 2);
    DistributedBatchNorm norm(*group, 1);
    norm->forward(at::full({3, 1}, static_cast<float>(communicator.rank())));
    return norm->tensors.running_mean.item<double>();
  });
  CHECK_THAT(means, Catch::Approx(std::vector<double>{0.05, 0.05, 0.25, 0.25}));
  CHECK_THAT(error_message([] {
               const auto ranks = make_thread_communicators(1);
               neighbours(*ranks[0], 2);
             }),
             Catch::Contains("1 ranks do not make groups of 2"));
}

TEST_CASE("the module evaluates with running statistics and carries LibTorch's names") {
  const auto ranks = make_thread_communicators(1);
  DistributedBatchNorm norm(*ranks[0], kChannels);
  std::vector<std::string> names;
  for (const auto& item : norm->named_parameters()) names.push_back(item.key());
  for (const auto& item : norm->named_buffers()) names.push_back(item.key());
  CHECK(names == std::vector<std::string>{"weight", "bias", "running_mean", "running_var", "num_batches_tracked"});
  const at::Tensor x = random({4, kChannels, 2, 2}, at::kFloat, 1);
  norm->forward(x);
  CHECK(norm->num_batches_tracked.item<std::int64_t>() == 1);
  norm->eval();
  const auto& t = norm->tensors;
  const at::Tensor wanted =
      (x - t.running_mean.view({1, -1, 1, 1})) / (t.running_var.view({1, -1, 1, 1}) + 1e-5).sqrt();
  CHECK(at::allclose(norm->forward(x), wanted, 1e-5, 1e-6));
  CHECK(norm->num_batches_tracked.item<std::int64_t>() == 1);
  CHECK(at::equal(t.weight, at::ones({kChannels})));
}

TEST_CASE("batch norm refuses shapes that do not fit, too few values and second derivatives") {
  const auto ranks = make_thread_communicators(1);
  const auto refusal = [&](const at::Tensor& x, const BatchNormTensors& tensors) {
    return error_message([&] { distributed_batch_norm(x, tensors, {}, *ranks[0]); });
  };
  CHECK_THAT(refusal(at::ones({3}), {}), Catch::Contains("[samples, channels, ...] is needed"));
  CHECK_THAT(refusal(at::ones({1, 3}), {}), Catch::Contains("1 values a channel on all 1 ranks"));
  CHECK_THAT(refusal(at::ones({0, 3}), {}), Catch::Contains("0 values a channel"));
  CHECK_THAT(refusal(at::ones({2, 3}), {at::ones({2}), at::ones({2}), {}, {}}),
             Catch::Contains("weight is [2] for an input of [2, 3]: [3] is needed"));
  CHECK_THAT(refusal(at::ones({2, 3}), {at::ones({3}), {}, {}, {}}), Catch::Contains("weight and bias together"));
  const at::Tensor x = at::randn({4, 2}).requires_grad_(true);
  const at::Tensor y = distributed_batch_norm(x, {}, {}, *ranks[0]);
  CHECK_THAT(error_message([&] { torch::autograd::grad({y.square().sum()}, {x}, {}, true, /*create_graph=*/true); }),
             Catch::Contains("no second derivatives"));
}
