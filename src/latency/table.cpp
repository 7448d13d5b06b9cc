#include "halftone/latency/table.hpp"

#include <nlohmann/json.hpp>

#include <utility>

#include "core/json_field.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/file.hpp"

namespace halftone {
namespace {

using internal::JsonField;

constexpr std::size_t kMostBytes = 64u << 20;

}  // namespace

TableLatency TableLatency::read(const std::filesystem::path& path) {
  const auto json = internal::parse_json(read_text(path, kMostBytes), "latency table " + path.string());
  const JsonField field(json, message("latency table ", path.string(), ": table"));
  field.expect_keys({"version", "device", "source", "unit", "batch", "sites"}, {"overhead"});
  if (field["version"].integer(1) != 1) field["version"].fail("this program reads version 1");
  TableLatency table;
  table.path_ = path.string();
  table.device_ = field["device"].text();
  table.source_ = field["source"].text();
  table.unit_ = field["unit"].text();
  table.batch_ = field["batch"].integer(1);
  if (field.has("overhead")) table.overhead_ = field["overhead"].number_not_negative();
  field["sites"].each_member([&](const std::string& name, const JsonField& site) {
    auto& costs = table.sites_[name];
    site.each_precision([&](Precision precision, const JsonField& cost) { costs[precision] = cost.positive_number(); });
  });
  if (table.sites_.empty()) field["sites"].fail("at least one site is needed, this has none");
  return table;
}

std::string TableLatency::name() const { return "table:" + path_; }

std::string TableLatency::origin() const {
  return message("read from ", path_, ": ", device_, " at batch ", batch_, " (", source_, ")");
}

double TableLatency::do_estimate(std::span<const Site> sites, const Plan& plan) const {
  double cost = overhead_;
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const auto site = sites_.find(sites[i].name);
    if (site == sites_.end())
      throw Error(Errc::NotFound, message("latency table ", path_, " has no site \"", sites[i].name, '"'));
    const auto found = site->second.find(plan[i]);
    if (found == site->second.end())
      throw Error(Errc::NotFound, message("latency table ", path_, " has no latency of site \"", sites[i].name,
                                          "\" at precision ", plan[i]));
    cost += found->second;
  }
  return cost;
}

}  // namespace halftone
