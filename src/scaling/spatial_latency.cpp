#include "halftone/scaling/spatial_latency.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"
#include "scaling/checks.hpp"

namespace halftone {
namespace {

/// Rows of a convolution of images; no rows where a site is something else, or is not split.
struct Rows {
  std::int64_t in = 0;
  std::int64_t out = 0;
  std::int64_t halo = 0;
};

Rows rows_of(const Site& site) {
  const bool is_image = site.kind == SiteKind::Convolution && site.input_shape.size() == 4 &&
                        site.output_shape.size() == 4 && site.weight_shape.size() == 4;
  if (!is_image) return {};
  Rows rows{.in = site.input_shape[2].offset, .out = site.output_shape[2].offset};
  if (rows.in < 1 || rows.out < 2) return {};
  const auto stride = std::llround(static_cast<double>(rows.in) / static_cast<double>(rows.out));
  rows.halo = std::max<std::int64_t>(site.weight_shape[2] - std::max<std::int64_t>(stride, 1), 0);
  return rows;
}

}  // namespace

SpatialLatency::SpatialLatency(std::shared_ptr<const LatencyModel> one_device, std::int64_t parts, Link link)
    : one_device_(std::move(one_device)), parts_(parts), link_(link) {
  std::vector<std::string> violations = internal::validate_link(link_, "link");
  if (parts_ < 1) violations.push_back(message("parts is ", parts_, ": at least 1 is needed"));
  if (!one_device_)
    violations.emplace_back("one_device is null: give a latency model");
  else if (one_device_->unit() != "ms")
    violations.push_back(message("one_device ", one_device_->name(), " is in ", one_device_->unit(), ": ms is needed"));
  require_valid("spatial latency", violations);
}

std::string SpatialLatency::name() const { return message("spatial:", parts_, ":", one_device_->name()); }

std::string SpatialLatency::origin() const {
  return message("modelled, not measured: images split by rows over ", parts_, " devices, links of ",
                 link_.bandwidth_gb_s, " GB/s and ", link_.latency_us, " us; one device: ", one_device_->origin());
}

double SpatialLatency::do_estimate(std::span<const Site> sites, const Plan& plan) const {
  if (parts_ == 1) return one_device_->estimate(sites, plan);
  std::vector<Site> largest(sites.begin(), sites.end());
  double halo_seconds = 0;
  for (std::size_t i = 0; i < largest.size(); ++i) {
    Site& site = largest[i];
    const Rows rows = rows_of(site);
    if (rows.out == 0) continue;
    const std::int64_t own = (rows.out + parts_ - 1) / parts_;
    const auto share = [&](std::int64_t count) { return (count * own + rows.out - 1) / rows.out; };
    const std::int64_t row_elements = site.input_elements / rows.in;
    site.macs = share(site.macs);
    site.input_elements = share(site.input_elements);
    site.output_elements = share(site.output_elements);
    if (rows.halo == 0) continue;
    const double numbers = static_cast<double>(rows.halo * row_elements * batch());
    halo_seconds += message_seconds(link_, numbers * plan[i].activation_bits / 8);
  }
  return one_device_->estimate(largest, plan) + halo_seconds * 1e3;
}

}  // namespace halftone
