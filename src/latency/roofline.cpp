#include "halftone/latency/roofline.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "halftone/core/error.hpp"

namespace halftone {
namespace {

bool is_positive(double rate) { return std::isfinite(rate) && rate > 0; }

void check(const RooflineDevice& device, std::int64_t batch) {
  const auto complain = [&device](const std::string& why) {
    throw Error(Errc::InvalidArgument, message("roofline device \"", device.name, "\": ", why));
  };
  if (!device.tera_ops.contains(16)) complain("it has no 16-bit peak, which the baseline needs");
  for (const auto& [bits, peak] : device.tera_ops)
    if (!is_positive(peak))
      complain(message("its ", bits, "-bit peak is ", peak, " tera-operations a second: a positive number is needed"));
  if (!is_positive(device.bandwidth_gb_s))
    complain(message("its bandwidth is ", device.bandwidth_gb_s, " GB/s: a positive number is needed"));
  if (batch < 1) complain(message("batch size ", batch, ": at least 1 is needed"));
}

}  // namespace

const std::vector<RooflineDevice>& roofline_devices() {
  static const std::vector<RooflineDevice> devices{
      {.name = "a100",
       .source = "NVIDIA A100 Tensor Core GPU datasheet, 40 GB part",
       .tera_ops = {{16, 312}, {8, 624}, {4, 1248}},
       .bandwidth_gb_s = 1555},
      {.name = "a30",
       .source = "NVIDIA A30 Tensor Core GPU datasheet",
       .tera_ops = {{16, 165}, {8, 330}, {4, 661}},
       .bandwidth_gb_s = 933},
      {.name = "t4",
       .source =
           "NVIDIA T4 datasheet (rates) and product brief (bandwidth); its 16-bit units compute float16, not bfloat16",
       .tera_ops = {{16, 65}, {8, 130}, {4, 260}},
       .bandwidth_gb_s = 320},
  };
  return devices;
}

RooflineLatency::RooflineLatency(RooflineDevice device, std::int64_t batch)
    : device_(std::move(device)), batch_(batch) {
  check(device_, batch_);
}

std::string RooflineLatency::name() const { return "roofline:" + device_.name; }

std::string RooflineLatency::origin() const {
  return message("modelled, not measured: roofline of ", device_.name, " at batch ", batch_, " (", device_.source, ")");
}

double RooflineLatency::do_estimate(std::span<const Site> sites, const Plan& plan) const {
  const auto batch = static_cast<double>(batch_);
  double seconds = 0;
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const Site& site = sites[i];
    const auto [weight_bits, activation_bits] = plan[i];
    const auto peak = device_.tera_ops.lower_bound(std::max(weight_bits, activation_bits));
    if (peak == device_.tera_ops.end())
      throw Error(Errc::InvalidArgument,
                  message("roofline device \"", device_.name, "\" has no units for ", plan[i], " at site ", site.name));
    const double operations = 2 * static_cast<double>(site.macs) * batch;
    const double bits = static_cast<double>(site.weight_elements) * weight_bits +
                        static_cast<double>(site.input_elements) * batch * activation_bits +
                        static_cast<double>(site.output_elements) * batch * 16;
    seconds += std::max(operations / (peak->second * 1e12), bits / 8 / (device_.bandwidth_gb_s * 1e9));
  }
  return seconds * 1e3;
}

}  // namespace halftone
