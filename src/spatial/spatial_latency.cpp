#include "halftone/spatial/spatial_latency.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "halftone/core/error.hpp"
#include "halftone/core/options.hpp"
#include "halftone/spatial/rows.hpp"

namespace halftone {
namespace {

constexpr std::size_t kRows = 2;

/// How the rows of a site's output come from those of its input.
struct SiteRows {
  RowSplit input;
  RowSplit output;
  std::vector<RowRange> needed;  ///< of the input, by rank
};

bool is_split(const Site& site) {
  if (site.input_shape.size() != 4 || site.output_shape.size() != 4) return false;
  if (site.kind == SiteKind::Addition) return true;
  return site.kind == SiteKind::Convolution && site.weight_channel_axis == 0;
}

SiteRows rows_of(const Site& site, int ranks) {
  RowWindow window;
  if (site.kind == SiteKind::Convolution && (site.stride.empty() || site.padding.empty() || site.dilation.empty()))
    throw Error(Errc::InvalidArgument, message("site ", site.name,
                                               " is a convolution without stride, padding and "
                                               "dilation: take sites from `find_sites`"));
  if (site.kind == SiteKind::Convolution)
    window = {site.weight_shape[kRows], site.stride[0], site.padding[0], site.dilation[0]};
  SiteRows rows{
      split_evenly(site.input_shape[kRows].at({1}), ranks), split_evenly(site.output_shape[kRows].at({1}), ranks), {}};
  rows.needed = rows_needed(window, rows.input, rows.output);
  return rows;
}

/// `elements` of an image of `rows`, for `part` of them.
std::int64_t share(std::int64_t elements, std::int64_t part, std::int64_t rows) {
  return rows == 0 ? elements : elements / rows * part;
}

}  // namespace

std::vector<std::string> validate(const RankLink& link) {
  std::vector<std::string> violations;
  if (!(std::isfinite(link.latency_us) && link.latency_us >= 0))
    violations.push_back(message("latency_us is ", link.latency_us, ": a number of 0 or more is needed"));
  if (!(std::isfinite(link.bandwidth_gb_s) && link.bandwidth_gb_s > 0))
    violations.push_back(message("bandwidth_gb_s is ", link.bandwidth_gb_s, ": a positive number is needed"));
  return violations;
}

RankLink link_of(const std::string& device) {
  static const std::map<std::string, RankLink> links{
      {"a100", {.bandwidth_gb_s = 300, .source = "NVLink of the datasheet, one direction"}},
      {"a30", {.bandwidth_gb_s = 100, .source = "NVLink of the datasheet, one direction"}},
      {"t4", {.bandwidth_gb_s = 16, .source = "PCIe of the datasheet, one direction"}}};
  if (const auto found = links.find(device); found != links.end()) return found->second;
  std::string known;
  for (const auto& [name, link] : links) known += (known.empty() ? "" : ", ") + name;
  throw Error(Errc::NotFound, message("there is no link of device \"", device, "\": choose from ", known));
}

SpatialLatency::SpatialLatency(std::shared_ptr<const LatencyModel> device, int ranks, RankLink link)
    : device_(std::move(device)), ranks_(ranks), link_(std::move(link)) {
  if (!device_) throw Error(Errc::InvalidArgument, "spatial latency needs a latency model of one device");
  if (ranks_ < 1) throw Error(Errc::InvalidArgument, message("spatial latency of ", ranks_, " ranks: 1 at least"));
  if (device_->unit() != "ms")
    throw Error(Errc::InvalidArgument, message("spatial latency is in ms, ", device_->name(), " in ", device_->unit()));
  require_valid("link between ranks", validate(link_));
}

std::string SpatialLatency::name() const {
  constexpr std::string_view kRoofline = "roofline:";
  const std::string device = device_->name();
  return message("spatial:", ranks_, ':', device.starts_with(kRoofline) ? device.substr(kRoofline.size()) : device);
}

std::string SpatialLatency::origin() const {
  return message("modelled, not measured: images split by rows over ", ranks_, " ranks, exchanges of ",
                 link_.latency_us, " us + bytes / ", link_.bandwidth_gb_s, " GB/s",
                 link_.source.empty() ? "" : " (" + link_.source + "; latency assumed)",
                 "; each rank: ", device_->origin());
}

Site SpatialLatency::part(const Site& site) const {
  if (!is_split(site)) return site;
  const SiteRows rows = rows_of(site, ranks_);
  std::int64_t needed = 0;
  for (const RowRange range : rows.needed) needed = std::max(needed, range.count());
  const std::int64_t made = rows.output.most_rows();
  Site part = site;
  part.macs = share(site.macs, made, rows.output.rows());
  part.input_elements = share(site.input_elements, needed, rows.input.rows());
  part.output_elements = share(site.output_elements, made, rows.output.rows());
  part.input_shape[kRows] = {needed};
  part.output_shape[kRows] = {made};
  return part;
}

double SpatialLatency::exchanged_bytes(const Site& site, Precision precision) const {
  if (!is_split(site)) return 0;
  const SiteRows rows = rows_of(site, ranks_);
  const auto transfers = row_transfers(rows.input, rows.needed);
  std::int64_t most = 0;
  for (int rank = 0; rank < ranks_; ++rank)
    most = std::max({most, rows_sent(transfers, rank), rows_received(transfers, rank)});
  const std::int64_t elements = share(site.input_elements, most, rows.input.rows()) * batch();
  return static_cast<double>(elements) * precision.activation_bits / 8;
}

double SpatialLatency::do_estimate(std::span<const Site> sites, const Plan& plan) const {
  std::vector<Site> parts;
  double exchanges = 0;  // ms
  for (std::size_t i = 0; i < sites.size(); ++i) {
    parts.push_back(part(sites[i]));
    const double bytes = exchanged_bytes(sites[i], plan[i]);
    if (bytes > 0) exchanges += link_.latency_us / 1e3 + bytes / (link_.bandwidth_gb_s * 1e6);
  }
  return device_->estimate(parts, plan) + exchanges;
}

}  // namespace halftone
