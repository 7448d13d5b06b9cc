// A sensitivity metric of one's own, from a class: what all sites share is done once.
#include <ATen/ATen.h>

#include <algorithm>
#include <iostream>

#include "halftone/calibrate/calibrate.hpp"
#include "halftone/models/architecture.hpp"
#include "halftone/sensitivity/metric.hpp"
#include "halftone/testing/check_metric.hpp"

// [readme]
/// Error of the weight per element, times the share of the network's work that the site does.
class WorkWeightedError final : public halftone::SiteMetric {
 public:
  [[nodiscard]] std::string name() const override { return "work_weighted_error"; }

 private:
  [[nodiscard]] ScoreFn prepare(const halftone::SensitivityInput& input) const override {
    double work = 0;  // once for all sites
    for (const halftone::Site& site : input.model.sites) work += static_cast<double>(site.macs);
    return [&input, work](std::size_t index, halftone::Precision precision) {
      const halftone::Site& site = input.model.sites[index];
      if (!site.has_weight()) return 0.0;
      const auto& weight = input.calibration.sites[index].weight.at(precision.weight_bits);
      return weight.mean_squared_error * static_cast<double>(site.macs) / work;
    };
  }
};
// [readme]

int main(int argc, char** argv) {
  const std::string assets = argc > 1 ? argv[1] : "assets";
  const auto network = halftone::load_model("cifar_resnet20:" + assets + "/cifar_resnet20.safetensors");
  const auto data = halftone::open_dataset("cifar10:" + assets + "/cifar10/calibration.bin[0:4]", network.data);
  const std::vector<halftone::Precision> precisions{halftone::k8, halftone::k4};
  const halftone::Calibration ranges = halftone::calibrate(network.model, *data, precisions);
  const auto task = halftone::make_top_k(1);
  const halftone::SensitivityInput input{
      .model = network.model, .calibration = ranges, .data = *data, .task = *task, .precisions = precisions};
  const WorkWeightedError metric;
  const auto violations = halftone::testing::check_metric(metric, input);
  for (const std::string& violation : violations) std::cerr << violation << '\n';
  if (!violations.empty()) return 1;
  const halftone::SensitivityTable table = metric.measure(input);
  for (std::size_t i = 0; i < table.scores.size(); ++i)
    std::cout << network.model.sites[i].name << ' ' << table.scores[i].at(halftone::k4) << '\n';
}
