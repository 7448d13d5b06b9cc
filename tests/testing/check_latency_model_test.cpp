#include "halftone/testing/check_latency_model.hpp"

#include <limits>

#include "catch.hpp"
#include "halftone/latency/roofline.hpp"
#include "halftone/registry.hpp"
#include "latency/synthetic.hpp"
#include "temp_dir.hpp"
#include "tiny_model.hpp"

using namespace halftone;
using halftone::testing::check_latency_model;

namespace {

struct Made final : LatencyModel {
  std::function<double(const Plan&)> time = [](const Plan& plan) { return 1 + 0.1 * plan[0].weight_bits; };
  std::string called = "made";
  std::string from = "made up";
  std::string in = "ms";
  std::int64_t of = 1;
  [[nodiscard]] std::string name() const override { return called; }
  [[nodiscard]] std::string origin() const override { return from; }
  [[nodiscard]] std::string unit() const override { return in; }
  [[nodiscard]] std::int64_t batch() const override { return of; }

 private:
  [[nodiscard]] double do_estimate(std::span<const Site>, const Plan& plan) const override { return time(plan); }
};

const Precision kPrecisions[] = {k16, k8, k4};

std::string found(const LatencyModel& model) {
  const Model network = tiny::residual_net();
  std::string text;
  for (const std::string& violation : check_latency_model(model, network.sites, kPrecisions)) text += violation + '\n';
  return text;
}

/// What stands behind the colon for every latency model that ships.
std::vector<std::string> arguments(const std::string& name, const TempDir& dir) {
  if (name == "size") return {""};
  if (name == "roofline") {
    std::vector<std::string> devices;
    for (const auto& device : roofline_devices()) devices.push_back(device.name);
    return devices;
  }
  if (name == "spatial") return {"1:a100", "3:a30", "16:t4"};
  if (name == "table") {
    std::string sites;
    for (const Site& site : tiny::residual_net().sites)
      sites += message(sites.empty() ? "" : ", ", '"', site.name, R"(": {"16": 0.3, "8": 0.2, "4": 0.25})");
    return {dir.write("table.json", R"({"version": 1, "device": "d", "source": "s", "unit": "ms", "batch": 1,)"
                                    R"( "overhead": 0.05, "sites": {)" +
                                        sites + "}}")
                .string()};
  }
  FAIL("say here what \"" << name << "\" needs behind its colon");
  return {};
}

}  // namespace

TEST_CASE("every latency model that ships keeps the rules") {
  const TempDir dir;
  const Registry registry = default_registry();
  for (const auto& [name, make] : registry.latencies)
    for (const std::string& argument : arguments(name, dir)) {
      CAPTURE(name, argument);
      CHECK(found(*make(argument, 1)).empty());
    }
}

TEST_CASE("measured latency keeps the rules") {
  fakes::Synthetic synthetic(12);
  const MeasuredLatency measured(synthetic.measure(20), synthetic.sites);
  const Precision precisions[] = {k16, k8};
  CHECK(check_latency_model(measured, synthetic.sites, precisions) == std::vector<std::string>{});
}

TEST_CASE("a latency model without fault is reported for nothing") { CHECK(found(Made()).empty()); }

TEST_CASE("a latency model that is not the same every time is found") {
  Made model;
  int calls = 0;
  model.time = [&](const Plan&) { return 1 + 1e-12 * calls++; };
  CHECK_THAT(found(model), Catch::StartsWith("latency model made: it is not deterministic: plan \""));
}

TEST_CASE("a latency that is no positive number is found") {
  Made model;
  for (const double bad : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    model.time = [&](const Plan& plan) { return plan[1] == k4 && plan[2] == k8 ? bad : 1.0; };
    CHECK_THAT(found(model), Catch::StartsWith("latency model made: estimating throws: latency model made estimated"));
  }
}

TEST_CASE("a latency model that remembers the last plan is found") {
  Made model;
  std::string last;
  model.time = [&](const Plan& plan) {
    const bool same = std::exchange(last, to_string(plan)) == to_string(plan);
    return same ? 0.5 : 1.0;
  };
  CHECK_FALSE(found(model).empty());
}

TEST_CASE("a latency model that does not say what it is is found") {
  Made model;
  model.called = model.from = model.in = "";
  model.of = 0;
  CHECK(found(model) ==
        "latency model : it has no name\n"
        "latency model : it does not say where its figures come from (origin)\n"
        "latency model : it has no unit\n"
        "latency model : its batch is 0, at least 1 is needed\n");
  CHECK(check_latency_model(Made(), {}, kPrecisions).size() == 1);
}
