#include "halftone/adjust/weight_method.hpp"

#include <ATen/ATen.h>

#include "failure.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "tiny_model.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

/// A layer each of whose rows has one weight, the first, six times as large as the others can be.
struct Fixture {
  Model model;
  std::unique_ptr<Dataset> data;
  std::vector<Precision> precisions{k16, kW4A8};
  std::unique_ptr<Task> task = make_top_k(1);

  /// `first` is what the large weights are multiplied with.
  explicit Fixture(double first) {
    const at::Tensor weight = tiny::random({5, 400}, 7);
    weight.select(1, 0).copy_(at::tensor({6.0F, -6.0F, 6.0F, -6.0F, 6.0F}));
    model = tiny::linear_net(weight);
    const at::Tensor x = tiny::random({24, 400}, 9) * 0.02;
    x.select(1, 0).copy_(tiny::random({24}, 10) * first);
    data = make_tensor_dataset("x", {x}, {});
  }

  [[nodiscard]] Calibration calibration(RangeMethod method) const {
    return calibrate(model, *data, precisions, {.weight = {.method = method}});
  }
  [[nodiscard]] ChosenWeights choose(const WeightMethodOptions& options = {}) const {
    return *choose_weight_method(model, calibration(RangeMethod::Percentile), *data, *task, precisions, options);
  }
};

}  // namespace

TEST_CASE("of two ways to choose weight ranges the one with less damage is taken") {
  struct Case {
    double first;
    RangeMethod best;
  };
  for (const Case& c : {Case{0, RangeMethod::MeanSquaredError}, Case{0.5, RangeMethod::Max}}) {
    CAPTURE(c.first);
    const Fixture f(c.first);
    const ChosenWeights chosen = f.choose();
    CHECK(chosen.calibration == f.calibration(c.best));
    REQUIRE(chosen.choices.size() == 1);
    const WeightMethodChoice& choice = chosen.choices[0];
    CHECK(choice.chosen == c.best);
    CHECK(choice.bits == 4);
    CHECK(choice.precision == kW4A8);
    CHECK(choice.samples == 24);
    REQUIRE(choice.trials.size() == 2);
    CHECK(choice.trials[0].method == RangeMethod::Max);
    CHECK((choice.trials[0].damage > choice.trials[1].damage) == (c.best == RangeMethod::MeanSquaredError));
    CHECK(chosen.forward_passes == Approx(3));
  }
}

TEST_CASE("every width is chosen for by itself, at the highest precision that has it") {
  Fixture f(0);
  f.precisions = {k4, k16, kW4A8, k8};
  const auto chosen = f.choose();
  REQUIRE(chosen.choices.size() == 2);
  CHECK(chosen.choices[0].bits == 8);
  CHECK(chosen.choices[0].precision == k8);
  CHECK(chosen.choices[1].bits == 4);
  CHECK(chosen.choices[1].precision == kW4A8);
  for (const WeightMethodChoice& choice : chosen.choices)
    CHECK(chosen.calibration.sites[0].weight.at(choice.bits) ==
          f.calibration(choice.chosen).sites[0].weight.at(choice.bits));
}

TEST_CASE("of equals the first method is taken, and fewer samples suffice") {
  const Fixture f(1);
  const auto chosen =
      f.choose({.methods = {RangeMethod::Percentile, RangeMethod::Percentile}, .samples = 10, .threads = 2});
  CHECK(chosen.calibration == f.calibration(RangeMethod::Percentile));
  CHECK(chosen.choices[0].samples == 10);
  CHECK(chosen.choices[0].trials[0].damage == chosen.choices[0].trials[1].damage);
}

TEST_CASE("a method that is better by less than the margin is not taken") {
  const Fixture f(0);
  CHECK(f.choose().choices[0].chosen == RangeMethod::MeanSquaredError);
  CHECK(f.choose({.margin = 0.99}).choices[0].chosen == RangeMethod::Max);
}

TEST_CASE("the choice is the same for any number of threads") {
  const Fixture f(1);
  const auto one = f.choose({.batch_size = 5, .threads = 1});
  const auto three = f.choose({.batch_size = 5, .threads = 3});
  CHECK(one.choices[0].trials[0].damage == three.choices[0].trials[0].damage);
  CHECK(one.calibration == three.calibration);
}

TEST_CASE("without an integer weight there is nothing to choose") {
  Fixture f(1);
  f.precisions = {k16, Precision{16, 8}};
  const auto chosen = f.choose();
  CHECK(chosen.choices.empty());
  CHECK(chosen.forward_passes == 0);
}

TEST_CASE("choosing can be stopped, and refuses empty data and wrong options") {
  const Fixture f(1);
  const Calibration calibration = f.calibration(RangeMethod::Max);
  int asked = 0;
  CHECK_FALSE(choose_weight_method(f.model, calibration, *f.data, *f.task, f.precisions, {},
                                   {.on_progress = {}, .should_stop = [&] { return ++asked > 5; }}));
  CHECK_THAT(
      failure([&] { (void)choose_weight_method(f.model, calibration, tiny::NoSamples(), *f.task, f.precisions); }).text,
      Contains("nothing holds no samples"));
  const Failure wrong = failure([&] { (void)f.choose({.methods = {}, .margin = 1, .samples = 0}); });
  CHECK_THAT(wrong.text, Contains("methods is empty") && Contains("margin is 1") && Contains("samples is 0"));
  CHECK_THAT(failure([&] { (void)f.choose({.methods = {RangeMethod::Automatic}}); }).text, Contains("auto"));
}

TEST_CASE("calibration itself does not know auto") {
  const Fixture f(1);
  const Failure refused = failure([&] { (void)f.calibration(RangeMethod::Automatic); });
  CHECK(refused.code == Errc::InvalidArgument);
  CHECK_THAT(refused.text, Contains("weight: auto"));
  CHECK(parse_range_method("auto") == RangeMethod::Automatic);
}
