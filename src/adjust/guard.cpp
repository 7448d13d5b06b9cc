#include "adjust/guard.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "halftone/core/error.hpp"

namespace halftone::internal {

SampleParts split_samples(const Dataset& data, double share, std::int64_t most, std::uint64_t seed, const char* what) {
  const std::int64_t samples = data.size();
  if (samples < 2)
    throw Error(Errc::InvalidArgument, message(what, ": ", data.name(), " holds ", samples,
                                               " samples: at least one to learn from and one held out are needed, 256 "
                                               "to 500 as a rule"));
  std::mt19937_64 random(seed);
  auto order = shuffled(samples, random);
  const auto wanted = std::min<std::int64_t>(most, std::llround(share * static_cast<double>(samples)));
  const auto held_out = std::clamp<std::int64_t>(wanted, 1, samples - 1);
  std::sort(order.begin(), order.begin() + held_out);
  return {.training = {order.begin() + held_out, order.end()}, .held_out = {order.begin(), order.begin() + held_out}};
}

std::vector<std::size_t> BatchOrder::next(std::size_t count) {
  std::vector<std::size_t> chosen;
  while (chosen.size() < std::min(count, batches_)) {
    if (left_.empty()) left_ = shuffled(static_cast<std::int64_t>(batches_), random_);
    chosen.push_back(static_cast<std::size_t>(left_.back()));
    left_.pop_back();
  }
  return chosen;
}

bool Guard::start(const Calibration& calibration) {
  const auto before = measure(calibration);
  if (!before) return false;
  record_.damage_before = record_.damage_after = *before;
  return true;
}

std::optional<bool> Guard::check(const Calibration& calibration) {
  const auto now = measure(calibration);
  if (!now) return std::nullopt;
  const int last = record_.checks.empty() ? 0 : record_.checks.back().step;
  record_.checks.push_back({record_.steps, std::exchange(training_, 0) / (record_.steps - last), *now});
  const bool is_best = *now < record_.damage_after;  // never of NaN
  if (is_best) {
    record_.damage_after = *now;
    record_.step_kept = record_.steps;
  }
  return is_best;
}

std::optional<double> Guard::measure(const Calibration& calibration) {
  const auto loss = damage(place_, held_out_, calibration, plan_);
  if (loss) record_.forward_passes += static_cast<double>(held_out_.samples()) / static_cast<double>(samples_);
  return loss;
}

std::string Guard::describe() const { return message("damage ", record_.damage_before, " -> ", record_.damage_after); }

}  // namespace halftone::internal
