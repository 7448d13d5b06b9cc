#include <ATen/ATen.h>

#include <limits>

#include "failure.hpp"
#include "halftone/evaluate/task.hpp"
#include "tiny_model.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

at::Tensor right(const std::vector<at::Tensor>& outputs, const at::Tensor& targets) {
  return outputs[0].argmax(1).eq(targets);
}

}  // namespace

TEST_CASE("a task of a score alone scores in any number type") {
  const auto task = make_task("right", {.score = right});
  const at::Tensor logits = tiny::random({50, 4}, 1);
  const at::Tensor targets = at::arange(50, at::kLong) % 4;
  CHECK(task->name() == "right");
  CHECK(task->identity() == "right");
  CHECK_FALSE(task->score_range());
  CHECK(at::equal(task->score({logits}, targets), make_top_k(1)->score({logits}, targets)));
}

TEST_CASE("without one of its own the damage is the relative squared error of all outputs together") {
  const auto task = make_task("right", {.score = right});
  const std::vector<at::Tensor> clean{tiny::random({6, 3}, 2), tiny::random({6, 2, 2}, 3), at::arange(6, at::kLong)};
  const std::vector<at::Tensor> outputs{tiny::random({6, 3}, 4), tiny::random({6, 2, 2}, 5), at::arange(6, at::kLong)};
  const at::Tensor damage = task->damage(outputs, clean);
  for (int i = 0; i < 6; ++i) {
    double error = 0;
    double length = 0;
    for (std::size_t k = 0; k < 2; ++k) {
      const at::Tensor a = outputs[k][i].to(at::kDouble).flatten();
      const at::Tensor b = clean[k][i].to(at::kDouble).flatten();
      for (int j = 0; j < a.size(0); ++j) {
        const double x = a[j].item<double>();
        const double y = b[j].item<double>();
        error += (x - y) * (x - y);
        length += y * y;
      }
    }
    CHECK(damage[i].item<double>() == Approx(error / length));
  }
  CHECK(task->damage(clean, clean).abs().max().item<double>() == 0);
}

TEST_CASE("functions of the user's own take the place of the defaults") {
  TaskFunctions functions{.score = right, .score_range = ScoreRange{0, 1}, .options = "shift 1"};
  functions.damage = [](const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& clean) {
    return (outputs[0] - clean[0]).abs().sum(1);
  };
  functions.check = [](const std::vector<at::Tensor>&, const Dataset& data) {
    if (data.size() > 2) throw Error(Errc::InvalidArgument, "too many samples");
  };
  const auto task = make_task("mine", functions);
  CHECK(task->identity() == "mine shift 1");
  CHECK(task->score_range()->high == 1);
  const at::Tensor clean = at::zeros({2, 3});
  CHECK(at::equal(task->damage({clean + 2}, {clean}), at::full({2}, 6, at::kDouble)));
  task->check({clean}, *tiny::images(2));
  CHECK(failure([&] { task->check({clean}, *tiny::images(3)); }).text == "too many samples");
}

TEST_CASE("what is wrong with a task of functions is said by name") {
  CHECK_THAT(failure([] { (void)make_task("empty", {}); }).text, Contains("task empty has no function that scores"));
  CHECK_THAT(failure([] { (void)make_task("", {.score = right}); }).text, Contains("a task needs a name"));
  const auto unlabelled = make_tensor_dataset("set", {at::zeros({3, 2})}, {});
  const auto task = make_task("mine", {.score = right});
  CHECK_THAT(failure([&] {
               task->check({at::zeros({3, 2})}, *unlabelled);
             }).text,
             Contains("mine: set has no targets to score against"));
  const at::Tensor logits = at::zeros({3, 2});
  const auto scored = [&](const at::Tensor& result) {
    const TaskFunctions functions{.score = [result](const auto&, const auto&) { return result; },
                                  .score_range = ScoreRange{0, 1}};
    return failure([&] { (void)make_task("mine", functions)->score({logits}, logits); });
  };
  CHECK(scored(at::tensor({0.0, std::numeric_limits<double>::quiet_NaN(), 0.0})).code == Errc::NonFinite);
  CHECK_THAT(scored(at::zeros({2})).text, Contains("as score of 3 samples"));
  CHECK_THAT(scored(at::Tensor()).text, Contains("gave nothing as score"));
  CHECK_THAT(scored(at::full({3}, 2.0)).text, Contains("from 0 to 1 is allowed"));
}
