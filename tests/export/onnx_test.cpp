#include "halftone/export/onnx.hpp"

#include <ATen/ATen.h>

#include "export/battery.hpp"
#include "failure.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/graph/passes.hpp"
#include "tiny_model.hpp"

using namespace halftone;
using battery::Tensors;
using Catch::Contains;

namespace {

/// x [n, 4] through a site "fc", then through `tail`.
Model captured(const std::function<at::Tensor(const at::Tensor&)>& tail, const CaptureOptions& options = {}) {
  const at::Tensor weight = tiny::random({4, 4}, 1);
  return prepare(capture([&](const Tensors& x) { return Tensors{tail(at::linear(x[0], weight))}; },
                         {{"fc.weight", weight}}, {tiny::random({2, 4}, 2)}, options));
}

Failure export_failure(const Model& model, const OnnxOptions& options = {}) {
  return failure([&] {
    (void)to_onnx(model, Plan::uniform(model.sites.size(), k16), {std::vector<SiteRanges>(model.sites.size())},
                  options);
  });
}

void check_refused(const Model& model, const std::string& place, const std::string& why,
                   const OnnxOptions& options = {}) {
  const auto refused = export_failure(model, options);
  CHECK(refused.code == Errc::Unsupported);
  CHECK_THAT(refused.text, Catch::StartsWith("ONNX export: " + place) && Contains(why));
}

}  // namespace

TEST_CASE("operators without a translation are refused by name and place, with the way round") {
  check_refused(captured([](const at::Tensor& x) { return at::cumsum(x, 1); }),
                "aten::cumsum (operator 2, after \"fc\"): ",
                "this operator has no translation: replace it in the network, or run in LibTorch");
}

TEST_CASE("forms of operators that ONNX does not have are refused, each with its reason") {
  using Tail = std::function<at::Tensor(const at::Tensor&)>;
  const std::vector<std::tuple<std::string, std::string, Tail>> cases{
      {"aten::round", "decimals", [](const at::Tensor& x) { return at::round(x, 2); }},
      {"aten::softplus", "beta", [](const at::Tensor& x) { return at::softplus(x, 2); }},
      {"aten::softplus", "threshold", [](const at::Tensor& x) { return at::softplus(x, 1, 0.5); }},
      {"aten::elu", "scales", [](const at::Tensor& x) { return at::elu(x, 1, 2); }},
      {"aten::addmm", "factors",
       [](const at::Tensor& x) {
         return at::addmm(x, x, at::ones({4, 4}), 2);
       }},
      {"aten::avg_pool2d", "divisor",
       [](const at::Tensor& x) {
         return at::avg_pool2d(x.view({-1, 1, 2, 2}), 2, 1, 0, false, true, 3);
       }},
      {"aten::max_pool2d", "its input has 3 dimensions: 4, with the batch, are needed",
       [](const at::Tensor& x) {
         return at::max_pool2d(x.view({-1, 2, 2}), 2);
       }},
      {"aten::adaptive_avg_pool1d", "sizes from 4 to 3 do not divide",
       [](const at::Tensor& x) { return at::adaptive_avg_pool1d(x.unsqueeze(1), {3}); }},
      {"aten::mul", "truth values", [](const at::Tensor& x) { return (x > 0) * (x < 1); }},
      {"aten::clamp", "use maximum, minimum",
       [](const at::Tensor& x) { return at::clamp(x, at::zeros({4}), at::ones({4})); }},
      {"aten::pad", "padding mode \"circular\"",
       [](const at::Tensor& x) {
         return at::pad(x.unsqueeze(1), {1, 1}, "circular");
       }},
      {"aten::view", "bytes", [](const at::Tensor& x) { return x.view(at::kInt); }},
  };
  for (const auto& [op, why, tail] : cases) {
    CAPTURE(op);
    check_refused(captured(tail), op, why);
  }
}

TEST_CASE("writes in place that stay in the graph are refused") {
  const Model model = captured([](const at::Tensor& x) {
    const at::Tensor copy = x.clone();
    copy.select(1, 0).zero_();
    return copy;
  });
  check_refused(model, "aten::zero_", "it writes in place, and ONNX has no such operators");
}

TEST_CASE("what depends on the batch needs a fixed batch where ONNX has no word for it") {
  const Model model = captured([](const at::Tensor& x) { return x + at::ones({x.size(0), 4}); });
  check_refused(model, "aten::ones", "export with a fixed batch");
  const Plan plan = Plan::uniform(1, k16);
  CHECK_FALSE(to_onnx(model, plan, {std::vector<SiteRanges>(1)}, {.batch = 2}).empty());
}

TEST_CASE("a network captured at one size has that batch alone") {
  const Model model = captured([](const at::Tensor& x) { return at::relu(x); }, {.dynamic_batch = false});
  const auto refused = export_failure(model, {.batch = 8});
  CHECK(refused.code == Errc::InvalidArgument);
  CHECK_THAT(refused.text, Contains("a batch of 8 was asked for") && Contains("inputs of [2, 4] alone"));
  for (const std::int64_t batch : {1, 2})
    CHECK_FALSE(to_onnx(model, Plan::uniform(1, k16), {std::vector<SiteRanges>(1)}, {.batch = batch}).empty());
}

TEST_CASE("integers of sites that are not float32 are refused by name") {
  const at::Tensor weight = tiny::random({4, 4}, 1).to(at::kDouble);
  const Model model = prepare(capture([&](const Tensors& x) { return Tensors{at::linear(x[0], weight)}; },
                                      {{"fc.weight", weight}}, {tiny::random({2, 4}, 2).to(at::kDouble)}));
  SiteRanges ranges;
  ranges.input[8] = {.low = -1, .high = 1};
  ranges.weight[8].bounds = {1, 1, 1, 1};
  for (const Precision precision : {k8, Precision{16, 8}, Precision{8, 16}}) {
    const auto refused = failure([&] { (void)to_onnx(model, Plan::uniform(1, precision), {{ranges}}); });
    CHECK(refused.code == Errc::Unsupported);
    CHECK_THAT(refused.text, Contains("site \"fc\" computes in float64") && Contains("convert the module to float32"));
  }
  CHECK_FALSE(to_onnx(model, Plan::uniform(1, k16), {{ranges}}).empty());
}

TEST_CASE("a batch below one is refused") {
  const auto refused = export_failure(tiny::residual_net(), {.batch = 0});
  CHECK(refused.code == Errc::InvalidArgument);
  CHECK(refused.text == "ONNX export: the batch is 0: at least 1 is needed");
}

TEST_CASE("plans and calibrations that do not fit are refused before anything is written") {
  const Model model = tiny::residual_net();
  const Precision eight[] = {k8};
  const Calibration calibration = calibrate(model, *tiny::images(4), eight);
  const auto text = [&](const Plan& plan, const Calibration& ranges) {
    return failure([&] { (void)to_onnx(model, plan, ranges); }).text;
  };
  CHECK_THAT(text(Plan::uniform(4, k8), calibration), Contains("the plan has 4 precisions, the model 5 sites"));
  CHECK_THAT(text(Plan::uniform(5, k8), {}), Contains("the calibration has 0 sites, the model 5"));
  CHECK_THAT(text(Plan::uniform(5, k4), calibration), Contains("\"stem\" has no input range at 4 bits"));
}

TEST_CASE("a network that was not prepared is refused") {
  const at::Tensor weight = tiny::random({2, 2, 3, 3}, 1);
  const Model model = capture([&](const Tensors& x) { return Tensors{at::conv2d(x[0], weight)}; },
                              {{"conv.weight", weight}}, {tiny::random({2, 2, 4, 4}, 2)});
  check_refused(model, "aten::conv2d (operator 1, after \"conv\"): ", "no translation");
}

TEST_CASE("one model and plan give the same bytes every time") {
  const Model model = tiny::residual_net();
  const Precision eight[] = {k8};
  const Calibration calibration = calibrate(model, *tiny::images(4), eight);
  const auto once = to_onnx(model, Plan::uniform(5, k8), calibration);
  CHECK(once == to_onnx(model, Plan::uniform(5, k8), calibration));
  CHECK(once.find("halftone.emulated") == std::string::npos);
  CHECK(once.find("stem=8 left=8 right=8 tail=8 head=8") != std::string::npos);
}
