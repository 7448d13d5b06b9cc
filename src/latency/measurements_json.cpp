#include <nlohmann/json.hpp>

#include "core/json_field.hpp"
#include "halftone/latency/measured.hpp"

namespace halftone {
namespace {

using internal::JsonField;
using nlohmann::json;

constexpr int kVersion = 1;

/// "1" for sites in integers, "0" for others: "0110…".
std::string bits_of(const Plan& plan, Precision integer) {
  std::string bits;
  for (const Precision p : plan.precisions) bits += p == integer ? '1' : '0';
  return bits;
}

Plan parse_bits(const JsonField& field, std::size_t sites, Precision integer) {
  const std::string bits = field.text();
  if (bits.size() != sites || bits.find_first_not_of("01") != std::string::npos)
    field.fail(message("one 0 or 1 for each of ", sites, " sites is needed"));
  Plan plan = Plan::uniform(sites, k16);
  for (std::size_t i = 0; i < sites; ++i)
    if (bits[i] == '1') plan[i] = integer;
  return plan;
}

}  // namespace

void to_json(json& object, const LatencyMeasurements& measured) {
  json samples = json::array();
  for (const auto& sample : measured.samples)
    samples.push_back({{"integers", bits_of(sample.plan, measured.integer)}, {"ms", sample.milliseconds}});
  json uniform = json::object();
  for (const auto& [precision, time] : measured.uniform) uniform[to_string(precision)] = time;
  json edges = json::array();
  for (const auto& edge : measured.edges)
    edges.push_back({{"from", edge.from}, {"to", edge.to}, {"elements", edge.elements}});
  object = {{"version", kVersion},           {"fingerprint", measured.fingerprint},
            {"engine", measured.engine},     {"machine", measured.machine},
            {"batch", measured.batch},       {"threads", measured.threads},
            {"load", measured.load},         {"integer", to_string(measured.integer)},
            {"sites", measured.sites},       {"edges", std::move(edges)},
            {"samples", std::move(samples)}, {"uniform", std::move(uniform)}};
}

LatencyMeasurements parse_latency_measurements(const std::string& text, const std::string& place) {
  const json parsed = internal::parse_json(text, place);
  const JsonField field(parsed, place);
  field.expect_keys({"version", "fingerprint", "engine", "machine", "batch", "threads", "load", "integer", "sites",
                     "edges", "samples", "uniform"});
  if (field["version"].integer(1) != kVersion) field["version"].fail(message("this program reads version ", kVersion));
  LatencyMeasurements measured;
  measured.fingerprint = field["fingerprint"].text();
  measured.engine = field["engine"].text();
  measured.machine = field["machine"].text();
  measured.batch = field["batch"].integer(1);
  measured.threads = static_cast<int>(std::min<std::int64_t>(field["threads"].integer(1), 1 << 20));
  measured.load = field["load"].number_not_negative();
  measured.integer = parse_precision(field["integer"].text());
  field["sites"].each_element([&](const JsonField& name) { measured.sites.push_back(name.text()); });
  const auto most = static_cast<std::int64_t>(measured.sites.size()) - 1;
  field["edges"].each_element([&](const JsonField& edge) {
    edge.expect_keys({"from", "to", "elements"});
    const auto index = [&](const char* key) {
      if (edge[key].integer(0) > most) edge[key].fail(message("there are ", most + 1, " sites"));
      return static_cast<std::size_t>(edge[key].integer(0));
    };
    measured.edges.push_back({index("from"), index("to"), edge["elements"].number_not_negative()});
  });
  field["samples"].each_element([&](const JsonField& sample) {
    sample.expect_keys({"integers", "ms"});
    measured.samples.push_back(
        {parse_bits(sample["integers"], measured.sites.size(), measured.integer), sample["ms"].positive_number()});
  });
  field["uniform"].each_precision(
      [&](Precision precision, const JsonField& time) { measured.uniform[precision] = time.positive_number(); });
  return measured;
}

}  // namespace halftone
