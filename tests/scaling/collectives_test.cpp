#include "halftone/scaling/collectives.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "catch.hpp"
#include "failure.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

Network network(std::int64_t x, std::int64_t y, TorusSchedule schedule, double bandwidth = 1, double latency = 10) {
  return {.torus = {x, y}, .link = {.bandwidth_gb_s = bandwidth, .latency_us = latency}, .schedule = schedule};
}

constexpr TorusSchedule kSchedules[] = {TorusSchedule::Ring, TorusSchedule::TwoStep, TorusSchedule::TwoHalves};

/// A chip that is simulated: numbers of 4 bytes, and when it is ready for its next message.
struct Chip {
  std::vector<double> numbers;
  double ready = 0;
};

/// One message from each chip of `ring` to the next, of block `block(i)` of what begins at `begin`; added or copied.
template <class Block>
void pass_on(std::vector<Chip*> ring, std::size_t begin, std::size_t length, const Link& link, bool add, Block block) {
  const std::size_t count = ring.size();
  std::vector<double> starts(count);
  std::vector<std::vector<double>> sent(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto first = ring[i]->numbers.begin() + static_cast<std::ptrdiff_t>(begin + block(i) * length);
    sent[i].assign(first, first + static_cast<std::ptrdiff_t>(length));
    starts[i] = ring[i]->ready;
  }
  for (std::size_t i = 0; i < count; ++i) {
    Chip& to = *ring[(i + 1) % count];
    for (std::size_t k = 0; k < length; ++k) {
      double& number = to.numbers[begin + block(i) * length + k];
      number = (add ? number : 0) + sent[i][k];
    }
    const double seconds = link.latency_us * 1e-6 + 4 * static_cast<double>(length) / (link.bandwidth_gb_s * 1e9);
    to.ready = std::max(starts[(i + 1) % count], starts[i] + seconds);
  }
}

/// Afterwards chip i of the ring has the sum of block (i + 1) % P.
void reduce_scatter(const std::vector<Chip*>& ring, std::size_t begin, std::size_t length, const Link& link) {
  const std::size_t count = ring.size();
  for (std::size_t step = 0; step + 1 < count; ++step)
    pass_on(ring, begin, length / count, link, true, [&](std::size_t i) { return (i + count - step) % count; });
}

void all_gather(const std::vector<Chip*>& ring, std::size_t begin, std::size_t length, const Link& link) {
  const std::size_t count = ring.size();
  for (std::size_t step = 0; step + 1 < count; ++step)
    pass_on(ring, begin, length / count, link, false, [&](std::size_t i) { return (i + 1 + count - step) % count; });
}

/// Chips of an X x Y torus, where chip (i, j) holds numbers of its own, all-reduced message by message: rows, columns
/// with 1/X each, columns, rows. Y = 1 is a ring. Gives the seconds; fails where a sum is wrong.
double simulated_all_reduce(std::size_t x, std::size_t y, std::size_t length, const Link& link) {
  std::vector<Chip> chips(x * y);
  std::vector<double> sums(length);
  for (std::size_t c = 0; c < chips.size(); ++c)
    for (std::size_t k = 0; k < length; ++k) {
      chips[c].numbers.push_back(static_cast<double>((c * 31 + k * 7) % 101));
      sums[k] += chips[c].numbers[k];
    }
  const auto row = [&](std::size_t j) {
    std::vector<Chip*> ring;
    for (std::size_t i = 0; i < x; ++i) ring.push_back(&chips[j * x + i]);
    return ring;
  };
  const auto column = [&](std::size_t i) {
    std::vector<Chip*> ring;
    for (std::size_t j = 0; j < y; ++j) ring.push_back(&chips[j * x + i]);
    return ring;
  };
  const auto begin_of = [&](std::size_t i) { return (i + 1) % x * (length / x); };
  for (std::size_t j = 0; j < y; ++j) reduce_scatter(row(j), 0, length, link);
  for (std::size_t i = 0; i < x; ++i) reduce_scatter(column(i), begin_of(i), length / x, link);
  for (std::size_t i = 0; i < x; ++i) all_gather(column(i), begin_of(i), length / x, link);
  for (std::size_t j = 0; j < y; ++j) all_gather(row(j), 0, length, link);

  double end = 0;
  for (const Chip& chip : chips) {
    CHECK(chip.numbers == sums);
    end = std::max(end, chip.ready);
  }
  return end;
}

}  // namespace

TEST_CASE("collectives take what the formulas give by hand") {
  // 8 chips, 8 MB, 1 GB/s, 10 us: 2 x 7/8 x 8 ms + 14 x 10 us.
  CHECK(all_reduce_seconds(network(8, 1, TorusSchedule::Ring), 8e6) == Approx(14.14e-3).epsilon(1e-12));
  // 4 x 2: 2 x 3/4 x 8 ms + 2 x 1/2 x 8/4 ms + 2 x 4 x 10 us.
  CHECK(all_reduce_seconds(network(4, 2, TorusSchedule::TwoStep), 8e6) == Approx(14.08e-3).epsilon(1e-12));
  // 4 x 4: 2 x 3/4 x 8 ms + 2 x 3/4 x 8/4 ms = 15 ms, of which halves on opposite axes leave a half; 12 messages.
  CHECK(all_reduce_seconds(network(4, 4, TorusSchedule::TwoStep), 8e6) == Approx(15.12e-3).epsilon(1e-12));
  CHECK(all_reduce_seconds(network(4, 4, TorusSchedule::TwoHalves), 8e6) == Approx(7.62e-3).epsilon(1e-12));
  CHECK(message_seconds({.bandwidth_gb_s = 2, .latency_us = 5}, 1e6) == Approx(505e-6).epsilon(1e-12));
}

TEST_CASE("all-reduces that are simulated message by message sum right and take what the formulas say") {
  const Link link{.bandwidth_gb_s = 0.5, .latency_us = 3};
  for (const auto& [x, y] : std::vector<std::pair<std::size_t, std::size_t>>{
           {1, 1}, {2, 1}, {3, 1}, {8, 1}, {2, 2}, {4, 2}, {2, 4}, {3, 5}}) {
    CAPTURE(x, y);
    const std::size_t length = x * y * 6;
    const Network formula{.torus = {static_cast<std::int64_t>(x), static_cast<std::int64_t>(y)},
                          .link = link,
                          .schedule = TorusSchedule::TwoStep};
    CHECK(simulated_all_reduce(x, y, length, link) ==
          Approx(all_reduce_seconds(formula, 4 * static_cast<double>(length))).epsilon(1e-12));
  }
}

TEST_CASE("one chip costs nothing, and a torus one chip wide is a ring") {
  for (const TorusSchedule schedule : kSchedules) CHECK(all_reduce_seconds(network(1, 1, schedule), 1e9) == 0);
  for (const std::int64_t chips : {2, 7, 64})
    for (const auto& [x, y] : {std::pair{chips, std::int64_t{1}}, std::pair{std::int64_t{1}, chips}})
      CHECK(all_reduce_seconds(network(x, y, TorusSchedule::TwoStep), 1e8) ==
            Approx(all_reduce_seconds(network(x, y, TorusSchedule::Ring), 1e8)).epsilon(1e-12));
}

TEST_CASE("an all-reduce is a reduce-scatter and an all-gather") {
  for (const TorusSchedule schedule : kSchedules) {
    const Network on = network(8, 16, schedule);
    CHECK(all_reduce_seconds(on, 3e7) == Approx(reduce_scatter_seconds(on, 3e7) + all_gather_seconds(on, 3e7)));
  }
}

TEST_CASE("collectives take longer with more bytes and more chips, and less on two axes") {
  for (const TorusSchedule schedule : kSchedules) {
    double before = 0;
    for (const double bytes : {0.0, 1.0, 1e6, 1e9}) {
      const double seconds = all_reduce_seconds(network(4, 4, schedule), bytes);
      CHECK(seconds > before);
      before = seconds;
    }
    before = 0;
    for (const std::int64_t side : {2, 4, 8, 16, 32}) {
      const double seconds = all_reduce_seconds(network(side, side, schedule), 1e8);
      CHECK(seconds > before);
      before = seconds;
    }
  }
  for (const double bytes : {1e3, 1e6, 1e9}) {
    const double two_halves = all_reduce_seconds(network(32, 32, TorusSchedule::TwoHalves), bytes);
    const double two_step = all_reduce_seconds(network(32, 32, TorusSchedule::TwoStep), bytes);
    CHECK(two_halves < two_step);
    CHECK(two_step < all_reduce_seconds(network(32, 32, TorusSchedule::Ring), bytes));
  }
}

TEST_CASE("networks and payloads that make no sense are refused with every reason") {
  const Network bad{.torus = {0, -3}, .link = {.bandwidth_gb_s = 0, .latency_us = -1}};
  CHECK(validate(bad).size() == 3);
  const Failure refused = failure([&] { static_cast<void>(all_reduce_seconds(bad, 1)); });
  CHECK(refused.code == Errc::InvalidArgument);
  CHECK_THAT(refused.text,
             Contains("torus is 0 x -3") && Contains("link.bandwidth_gb_s is 0") && Contains("link.latency_us is -1"));
  const Network good = network(2, 2, TorusSchedule::TwoStep);
  for (const double bytes : {-1.0, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()})
    CHECK(failure([&] { static_cast<void>(reduce_scatter_seconds(good, bytes)); }).code == Errc::InvalidArgument);
  CHECK(failure([&] { static_cast<void>(message_seconds({}, 1)); }).code == Errc::InvalidArgument);
}
