// Operands of residual additions as sites.
#include <ATen/ATen.h>

#include "failure.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/evaluate/quantized_visitor.hpp"
#include "halftone/latency/measured.hpp"
#include "halftone/plan/plan_file.hpp"
#include "halftone/quant/fake_quantize.hpp"
#include "halftone/sensitivity/metrics.hpp"
#include "tiny_model.hpp"

namespace {

using namespace halftone;

Model with_additions() {
  Model model = tiny::residual_net();
  model.sites = find_sites(model.graph, {.additions = true});
  return model;
}

constexpr Precision kEight[] = {k8};

/// What the addition of `model` gives under `plan`.
at::Tensor sum_under(Model model, const Plan& plan, const Calibration& calibration, const at::Tensor& input) {
  model.graph.outputs = {model.graph.nodes[model.sites[3].node].outputs[0].ids[0]};
  QuantizedVisitor visitor(model, calibration, plan);
  return Interpreter(model).run(std::vector<at::Tensor>{input}, &visitor).at(0);
}

}  // namespace

TEST_CASE("each operand of a residual addition is a site where that is asked for, and none elsewhere") {
  CHECK(tiny::residual_net().sites.size() == 5);
  const Model model = with_additions();
  REQUIRE(model.sites.size() == 7);
  CHECK(model.sites[3].name == "right/add.0");
  CHECK(model.sites[4].name == "right/add.1");
  for (const std::size_t i : {3U, 4U}) {
    const Site& site = model.sites[i];
    CHECK(site.kind == SiteKind::Addition);
    CHECK(site.argument == i - 3);
    CHECK_FALSE(site.has_weight());
    CHECK(site.macs == 0);
    CHECK(site.input_elements == 4 * 6 * 6);
  }
}

TEST_CASE("sums with a constant, a bias or of other shapes are no residual additions") {
  tiny::Builder build;
  const auto x = build.input("input", {4});
  const auto y = build.linear(x, build.parameter("fc.weight", tiny::random({4, 4}, 1)));
  const auto sum = build.add(y, build.parameter("shift", tiny::random({1, 4}, 2)));
  Model model = build.finish(build.add(sum, x));  // the input depends on no site
  CHECK(find_sites(model.graph, {.additions = true}).size() == 1);
}

TEST_CASE("operands of additions are joined to the last weight before each, and what reads the sum likewise") {
  const Model model = with_additions();  // stem, left, right, right/add.0, right/add.1, tail, head
  std::vector<std::pair<std::size_t, std::size_t>> joined;
  for (const SiteEdge& edge : find_edges(model.graph, model.sites)) joined.emplace_back(edge.from, edge.to);
  CHECK(joined == std::vector<std::pair<std::size_t, std::size_t>>{{0, 1}, {1, 2}, {1, 3}, {2, 4}, {2, 5}, {5, 6}});
}

TEST_CASE("an operand at 8 bits is quantized before it is added, one at 16 is cast to bfloat16") {
  const Model model = with_additions();
  const auto data = tiny::images(20);
  const Calibration calibration = calibrate(model, *data, kEight);
  CHECK(calibration.sites[3].weight.empty());
  CHECK(calibration.sites[3].input.contains(8));
  Plan plan = Plan::uniform(7, k16);
  plan[3] = k8;
  const at::Tensor input = data->range(0, 4).inputs[0];

  // The operands as the convolutions give them, all at 16 bits.
  Model operands = model;
  operands.graph.outputs = {model.sites[3].input, model.sites[4].input};
  QuantizedVisitor visitor(model, calibration, Plan::uniform(7, k16));
  const auto both = Interpreter(operands).run(std::vector<at::Tensor>{input}, &visitor);
  const at::Tensor expected =
      fake_quantize(both[0], params(calibration.sites[3].input.at(8), 8)) + fake_bfloat16(both[1]);
  CHECK(at::equal(sum_under(model, plan, calibration, input), expected));
}

TEST_CASE("metrics score operands of additions by their activation alone") {
  const Model model = with_additions();
  const auto data = tiny::images(20);
  const Calibration calibration = calibrate(model, *data, kEight);
  const auto task = make_top_k(1);
  const SensitivityInput input{
      .model = model, .calibration = calibration, .data = *data, .task = *task, .precisions = kEight};
  const auto table = make_quantization_error()->measure(input);
  const SiteRanges& ranges = calibration.sites[4];
  const double largest = std::max(-ranges.input_min, ranges.input_max);
  CHECK(table.scores[4].at(k8) == Approx(std::sqrt(ranges.input.at(8).mean_squared_error) / largest));
  int without_weight = 0;
  (void)make_metric("count", [&](const SiteView& view) {
    without_weight += view.weight.defined() ? 0 : 1;
    return 1.0;
  })->measure(input);
  CHECK(without_weight == 2);
}

TEST_CASE("plan files hold operands of additions and refuse a weight range for them") {
  const Model model = with_additions();
  const Calibration calibration = calibrate(model, *tiny::images(20), kEight);
  PlanFile file = make_plan_file(model.sites, Plan::uniform(7, k8), calibration, "digest");
  CHECK(file.sites[3].kind == "add");
  CHECK(apply_plan_file(file, model.sites, "digest").plan == Plan::uniform(7, k8));
  file.sites[3].ranges.weight[8].bounds = {1};
  const Failure refused = failure([&] { (void)apply_plan_file(file, model.sites, "digest"); });
  CHECK(refused.code == Errc::BadFile);
  CHECK(refused.text.find("\"right/add.0\" has a weight_range, but no weight") != std::string::npos);
}
