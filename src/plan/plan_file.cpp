#include "halftone/plan/plan_file.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "core/json_field.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/file.hpp"

namespace halftone {
namespace {

using internal::JsonField;
using internal::shortened;

constexpr int kVersion = 1;
constexpr std::size_t kMostBytes = 64u << 20;  // 1.5 million output channels at two widths

std::string quoted(const std::string& text) { return nlohmann::json(text).dump(); }

/// The shortest digits that read back as the same number.
void append_number(std::string& text, double number, const std::string& site) {
  if (!std::isfinite(number))
    throw Error(Errc::NonFinite, message("site \"", site, "\" has a range that ends at ", number,
                                         ": a plan file holds finite ranges only"));
  std::array<char, 32> digits;
  text.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr);
}

/// {"4": [a, b, …], "8": […]}
template <class Ranges, class Numbers>
void append_ranges(std::string& text, const Ranges& ranges, const std::string& site, const Numbers& numbers) {
  const char* width_separator = "";
  text += '{';
  for (const auto& [bits, range] : ranges) {
    text += message(std::exchange(width_separator, ", "), '"', bits, "\": [");
    const char* separator = "";
    for (const double number : numbers(range)) {
      text += std::exchange(separator, ", ");
      append_number(text, number, site);
    }
    text += ']';
  }
  text += '}';
}

WeightRange read_weight_range(const JsonField& field) {
  WeightRange range;
  field.each_element([&](const JsonField& bound) { range.bounds.push_back(bound.number_not_negative()); });
  if (range.bounds.empty()) field.fail("one bound for each output channel is needed, this has none");
  return range;
}

InputRange read_input_range(const JsonField& field) {
  std::vector<double> ends;
  field.each_element([&](const JsonField& end) { ends.push_back(end.number()); });
  if (ends.size() != 2 || ends[0] > 0 || ends[1] < 0)
    field.fail(message("[low, high] with low <= 0 <= high is needed, this holds ",
                       ends.size() == 2 ? message(ends[0], " and ", ends[1]) : message(ends.size(), " numbers")));
  return {.low = ends[0], .high = ends[1]};
}

PlanFile::Entry read_site(const JsonField& field) {
  field.expect_keys({"name", "kind", "precision", "weight_range", "input_range"});
  PlanFile::Entry entry{.name = field["name"].text(),
                        .kind = field["kind"].text(),
                        .precision = field["precision"].precision(),
                        .ranges = {}};
  const std::array kinds{SiteKind::Convolution, SiteKind::Linear, SiteKind::Addition, SiteKind::Product};
  if (std::none_of(kinds.begin(), kinds.end(), [&](SiteKind kind) { return entry.kind == to_string(kind); }))
    field["kind"].fail("use \"conv\", \"linear\" or \"add\"");
  field["weight_range"].each_width(
      [&](int bits, const JsonField& range) { entry.ranges.weight[bits] = read_weight_range(range); });
  field["input_range"].each_width(
      [&](int bits, const JsonField& range) { entry.ranges.input[bits] = read_input_range(range); });
  return entry;
}

/// What to call a site in messages: its name tells a person more than its position.
std::string place_of_site(const nlohmann::json& site, std::size_t index, const std::string& file) {
  const auto name = site.is_object() ? site.find("name") : site.end();
  if (!site.is_object() || name == site.end() || !name->is_string()) return message(file, ": sites[", index, ']');
  return message(file, ": site \"", shortened(name->get<std::string>()), '"');
}

[[noreturn]] void refuse(const std::string& what) { throw Error(Errc::BadFile, what); }

std::string name_of(const std::string& path) { return message("plan \"", path, '"'); }

/// Does `work`; what it refuses gets the name of the file.
template <class Work>
auto with_name(const PlanFile& file, const Work& work) {
  try {
    return work();
  } catch (const Error& error) {
    throw Error(error.code(), message(file.path.empty() ? "plan file" : name_of(file.path), ": ", error.what()));
  }
}

std::string widths_of(const auto& ranges) {
  std::string list;
  for (const auto& [bits, unused] : ranges) list += (list.empty() ? "" : ", ") + std::to_string(bits);
  return list.empty() ? "none" : list;
}

/// `bits` must have a range, or stand for bfloat16.
void require_range(const PlanFile::Entry& entry, const char* field, int bits, const auto& ranges) {
  if (bits < 16 && !ranges.contains(bits))
    refuse(message("site \"", entry.name, "\" is at precision ", entry.precision, ", but its ", field, " has no ", bits,
                   "-bit entry (it has: ", widths_of(ranges),
                   "): choose one that has, or give samples that ranges come from (--calibrate DATA)"));
}

void check_ranges(const PlanFile::Entry& entry, const Site& site) {
  if (site.has_weight())
    require_range(entry, "weight_range", entry.precision.weight_bits, entry.ranges.weight);
  else if (!entry.ranges.weight.empty())
    refuse(message("site \"", entry.name, "\" has a weight_range, but no weight"));
  require_range(entry, "input_range", entry.precision.activation_bits, entry.ranges.input);
  if (!site.has_weight()) return;
  const auto channels =
      static_cast<std::size_t>(site.weight_shape.at(static_cast<std::size_t>(site.weight_channel_axis)));
  for (const auto& [bits, range] : entry.ranges.weight)
    if (range.bounds.size() != channels)
      refuse(message("site \"", entry.name, "\": weight_range at ", bits, " bits has ", range.bounds.size(),
                     " bounds, the weight has ", channels, " output channels: one for each is needed"));
}

/// Sites that read one tensor must agree how it is quantized.
void check_shared_inputs(std::span<const Site> sites, const Calibration& calibration) {
  std::map<ValueId, std::size_t> first;
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const std::size_t other = first.emplace(sites[i].input, i).first->second;
    if (calibration.sites[i].input != calibration.sites[other].input)
      refuse(message("sites \"", sites[other].name, "\" and \"", sites[i].name,
                     "\" read one tensor, but their input_range differs: give both the same"));
  }
}

/// The entries in the order of `sites`.
std::vector<const PlanFile::Entry*> find_entries(const PlanFile& file, std::span<const Site> sites,
                                                 const std::string& model_digest) {
  if (file.model_digest != model_digest)
    refuse(message("it was made for another network (digest ", shortened(file.model_digest, 40), ", this model has ",
                   model_digest, "): use it with the weights it was made for, or quantize this model"));
  std::set<std::string> known;
  for (const Site& site : sites) known.insert(site.name);
  std::map<std::string, const PlanFile::Entry*> entries;
  for (const auto& entry : file.sites) {
    if (!known.contains(entry.name))
      refuse(message("site \"", shortened(entry.name), "\" is not in the model, which has ", sites.size(),
                     " sites: `halftone scan` lists them"));
    if (!entries.emplace(entry.name, &entry).second)
      refuse(message("site \"", entry.name, "\" is listed twice: keep one of them"));
  }
  std::vector<const PlanFile::Entry*> found;
  for (const Site& site : sites) {
    const auto entry = entries.find(site.name);
    if (entry == entries.end()) refuse(message("site \"", site.name, "\" of the model is missing: list every site"));
    found.push_back(entry->second);
    if (found.back()->kind != to_string(site.kind))
      refuse(message("site \"", site.name, "\" is of kind ", found.back()->kind, ", in the model it is ",
                     to_string(site.kind), ": change nothing but precisions"));
  }
  return found;
}

}  // namespace

PlanFile make_plan_file(std::span<const Site> sites, const Plan& plan, const Calibration& calibration,
                        std::string model_digest) {
  const bool calibrated = !calibration.sites.empty();  // a run that was stopped early has no ranges
  if (plan.size() != sites.size() || (calibrated && calibration.sites.size() != sites.size()))
    throw Error(Errc::InvalidArgument, message("plan file: ", sites.size(), " sites, but ", plan.size(),
                                               " precisions and the ranges of ", calibration.sites.size(), " sites"));
  PlanFile file{.model_digest = std::move(model_digest), .sites = {}};
  for (std::size_t i = 0; i < sites.size(); ++i)
    file.sites.push_back({.name = sites[i].name,
                          .kind = to_string(sites[i].kind),
                          .precision = plan[i],
                          .ranges = calibrated ? calibration.sites[i] : SiteRanges{}});
  return file;
}

std::string to_text(const PlanFile& file) {
  std::string text = message(
      "{\"version\": ", kVersion, ", \"model_digest\": ", quoted(file.model_digest),
      file.finished_digest.empty() ? "" : ", \"finished_digest\": " + quoted(file.finished_digest), ", \"sites\": [");
  const char* separator = "\n";
  for (const auto& [name, kind, precision, ranges] : file.sites) {
    text += message(std::exchange(separator, ",\n"), "  {\"name\": ", quoted(name), ", \"kind\": ", quoted(kind),
                    ", \"precision\": \"", precision, "\", \"weight_range\": ");
    append_ranges(text, ranges.weight, name, [](const WeightRange& range) { return range.bounds; });
    text += ", \"input_range\": ";
    append_ranges(text, ranges.input, name, [](const InputRange& range) { return std::array{range.low, range.high}; });
    text += '}';
  }
  return text + "\n]}\n";
}

PlanFile read_plan_file(const std::filesystem::path& path) {
  const std::string file = name_of(path.string());
  const nlohmann::json json = internal::parse_json(read_text(path, kMostBytes), file);
  const JsonField field(json, file);
  if (json.is_object() && field.has("evaluations") && field.has("options"))
    throw Error(Errc::BadFile, message(file,
                                       " is what a run found out (run.json): give the plan.json beside it, or "
                                       "the plan file of a looser target, such as plan-keep-95.json"));
  // A later version may have other keys: say so rather than complain about those.
  if (json.is_object() && field.has("version") && field["version"].integer(1) != kVersion)
    field["version"].fail(message("this program reads version ", kVersion));
  const bool is_finished = json.is_object() && field.has("finished_digest");
  if (is_finished)
    field.expect_keys({"version", "model_digest", "finished_digest", "sites"});
  else
    field.expect_keys({"version", "model_digest", "sites"});
  PlanFile plan{.model_digest = field["model_digest"].text(),
                .sites = {},
                .finished_digest = is_finished ? field["finished_digest"].text() : "",
                .path = path.string()};
  const nlohmann::json& sites = json["sites"];
  if (!sites.is_array() || sites.empty()) field["sites"].fail("an array of at least one site is needed");
  for (std::size_t i = 0; i < sites.size(); ++i)
    plan.sites.push_back(read_site(JsonField(sites[i], place_of_site(sites[i], i, file))));
  return plan;
}

Plan apply_precisions(const PlanFile& file, std::span<const Site> sites, const std::string& model_digest) {
  return with_name(file, [&] {
    Plan plan;
    for (const auto* entry : find_entries(file, sites, model_digest)) plan.precisions.push_back(entry->precision);
    return plan;
  });
}

AppliedPlan apply_plan_file(const PlanFile& file, std::span<const Site> sites, const std::string& model_digest) {
  return with_name(file, [&] {
    AppliedPlan applied;
    const auto entries = find_entries(file, sites, model_digest);
    for (std::size_t i = 0; i < sites.size(); ++i) {
      check_ranges(*entries[i], sites[i]);
      applied.plan.precisions.push_back(entries[i]->precision);
      applied.calibration.sites.push_back(entries[i]->ranges);
    }
    check_shared_inputs(sites, applied.calibration);
    return applied;
  });
}

}  // namespace halftone
