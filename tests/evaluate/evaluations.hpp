#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <vector>

#include "catch.hpp"
#include "halftone/evaluate/evaluation.hpp"
#include "halftone/graph/interpreter.hpp"
#include "tiny_model.hpp"

namespace halftone {

/// Labels that the float network gives to most samples, so that there is something to lose.
inline std::unique_ptr<Dataset> mostly_right(const Model& model, std::int64_t count) {
  const at::Tensor inputs = tiny::random({count, 2, 6, 6}, 60);
  const std::vector<at::Tensor> batch{inputs};
  at::Tensor targets = Interpreter(model).run(batch)[0].argmax(1);
  for (std::int64_t i = 0; i < count; i += 7) targets[i] = (targets[i] + 1) % 5;
  return make_tensor_dataset("tiny", {inputs}, targets);
}

/// But for the time they took.
inline void check_equal(const Evaluation& a, const Evaluation& b) {
  CHECK(a.plan_digest == b.plan_digest);
  CHECK(a.score == b.score);
  CHECK(a.score_count == b.score_count);
  CHECK(a.samples == b.samples);
  CHECK(a.damage == b.damage);
  CHECK(a.interval.low == b.interval.low);
  CHECK(a.interval.high == b.interval.high);
  CHECK(a.passed == b.passed);
}

}  // namespace halftone
