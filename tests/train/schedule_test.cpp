#include "halftone/train/schedule.hpp"

#include <cmath>

#include "catch.hpp"

using namespace halftone;

TEST_CASE("the polynomial schedule rises in a line, then falls as a power to its end") {
  const PolynomialSchedule schedule{.warm_up_steps = 25, .steps = 125};
  CHECK(rate_at(schedule, 1) == Approx(31.2 / 25));
  CHECK(rate_at(schedule, 25) == Approx(31.2));
  CHECK(rate_at(schedule, 75) == Approx(1e-4 + (31.2 - 1e-4) * 0.25));  // half of the steps: a quarter
  CHECK(rate_at(schedule, 124) == Approx(1e-4 + (31.2 - 1e-4) * 1e-4));
  CHECK(rate_at(schedule, 125) == 1e-4);
  CHECK(rate_at(schedule, 1000) == 1e-4);
  const PolynomialSchedule line{.base = 1, .end = 0, .power = 1, .steps = 10};
  for (int step = 1; step <= 10; ++step) CHECK(rate_at(line, step) == Approx(1 - step / 10.0).margin(1e-15));
}

TEST_CASE("the Transformer's schedule peaks at the end of its warm-up") {
  const InverseRootSchedule schedule{};
  const auto formula = [](double step) {
    return 1.3 / std::sqrt(1024.0) * std::min(1 / std::sqrt(step), step * std::pow(550.0, -1.5));
  };
  for (const int step : {1, 100, 549, 550, 551, 5000}) CHECK(rate_at(schedule, step) == Approx(formula(step)));
  CHECK(rate_at(schedule, 550) > rate_at(schedule, 549));
  CHECK(rate_at(schedule, 550) > rate_at(schedule, 551));
}

TEST_CASE("the step schedule falls after its boundaries") {
  const StepSchedule schedule{.base = 8, .factor = 0.5, .boundaries = {10, 20}, .warm_up_steps = 4};
  CHECK(rate_at(schedule, 1) == 2);
  CHECK(rate_at(schedule, 4) == 8);
  CHECK(rate_at(schedule, 10) == 8);
  CHECK(rate_at(schedule, 11) == 4);
  CHECK(rate_at(schedule, 20) == 4);
  CHECK(rate_at(schedule, 21) == 2);
}

TEST_CASE("schedules refuse options out of range, all at once, and step 0") {
  CHECK(validate(PolynomialSchedule{.base = -1, .power = NAN, .warm_up_steps = 5, .steps = 5}).size() == 3);
  CHECK(validate(InverseRootSchedule{.hidden_size = 0, .warm_up_steps = 0}).size() == 2);
  CHECK(validate(StepSchedule{.boundaries = {5, 5}}).size() == 1);
  CHECK_THAT(error_message([] { rate_at(StepSchedule{}, 0); }), Catch::Contains("step 0 is not one"));
  CHECK_THAT(error_message([] { rate_at(PolynomialSchedule{}, 1); }),
             Catch::Contains("steps is 0: more than warm_up_steps, 0, are needed"));
}
