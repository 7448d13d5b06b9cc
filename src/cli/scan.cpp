#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <map>
#include <ostream>

#include "cli/command.hpp"
#include "halftone/core/error.hpp"
#include "report/text.hpp"
#include "report/text_summary.hpp"

namespace halftone::cli {
namespace {

using namespace internal;
using Align = TextTable::Align;

struct Arguments {
  ModelOptions model;
  CommonOptions common;
  std::string latency = "roofline:a100";
  std::string precisions = "4,8,16";
  std::int64_t batch = 1;
};

/// A network's sites and what they would cost.
struct Scan {
  const Arguments& arguments;
  const LoadedModel& loaded;
  const LatencyModel& latency;
  const std::vector<Precision>& precisions;

  [[nodiscard]] const std::vector<Site>& sites() const { return loaded.model.sites; }

  /// Nothing where the latency model has no figure for this precision.
  [[nodiscard]] std::optional<double> estimate(Precision precision) const {
    try {
      return latency.estimate(sites(), Plan::uniform(sites().size(), precision));
    } catch (const Error& error) {
      if (error.code() == Errc::NotFound || error.code() == Errc::InvalidArgument) return std::nullopt;
      throw;
    }
  }

  /// The first site that reads what `site` reads; null where that is itself.
  [[nodiscard]] const Site* shares_input_with(const Site& site) const {
    for (const Site& other : sites())
      if (other.input == site.input) return &other == &site ? nullptr : &other;
    return nullptr;
  }

  [[nodiscard]] std::int64_t total(std::int64_t Site::*figure) const {
    std::int64_t sum = 0;
    for (const Site& site : sites()) sum += site.*figure;
    return sum;
  }
};

/// "16x32x32" of one sample, without the batch dimension.
std::string shape_text(const std::vector<std::int64_t>& shape, std::size_t from) {
  std::string text;
  for (std::size_t i = from; i < shape.size(); ++i) text += message(i > from ? "x" : "", shape[i]);
  return text;
}

void print_text(const Scan& scan, std::ostream& out) {
  const std::int64_t macs = scan.total(&Site::macs);
  out << scan.loaded.name << ": " << scan.sites().size() << " sites, " << grouped(macs)
      << " multiply-accumulates a sample, " << grouped(scan.total(&Site::weight_elements)) << " weights\n\n";
  TextTable table({Align::Left, Align::Left, Align::Left, Align::Left, Align::Left, Align::Right, Align::Right,
                   Align::Right, Align::Left});
  table.add({"site", "kind", "input", "weight", "output", "MACs", "share", "weights", ""});
  for (const Site& site : scan.sites()) {
    std::string note = site.groups > 1 ? message(site.groups, " groups") : "";
    if (const Site* other = scan.shares_input_with(site))
      note += message(note.empty() ? "" : ", ", "reads what ", other->name, " reads");
    table.add({site.name, to_string(site.kind), shape_text(sizes_at(site.input_shape, {1}), 1),
               shape_text(site.weight_shape, 0), shape_text(sizes_at(site.output_shape, {1}), 1), grouped(site.macs),
               percent(static_cast<double>(site.macs) / static_cast<double>(macs), 1), grouped(site.weight_elements),
               note});
  }
  out << table.text() << '\n' << wrapped("Latency, " + scan.latency.origin() + ':') << '\n';
  const auto baseline = scan.estimate(k16);
  TextTable latencies({Align::Left, Align::Right, Align::Right, Align::Left});
  for (const Precision precision : scan.precisions) {
    const auto cost = scan.estimate(precision);
    const std::string name = message("all at ", in_words(precision));
    if (!cost) {
      latencies.add({name, "no figure", "", ""});
    } else {
      latencies.add({name, with_unit(*cost, scan.latency.unit()), baseline ? change(*baseline, *cost) : "",
                     baseline ? bar(*cost / *baseline, 40) : ""});
    }
  }
  out << latencies.text();
}

nlohmann::json to_json(const Scan& scan) {
  nlohmann::json sites = nlohmann::json::array();
  for (const Site& site : scan.sites()) {
    const Site* other = scan.shares_input_with(site);
    sites.push_back({{"name", site.name},
                     {"kind", to_string(site.kind)},
                     {"input_shape", sizes_at(site.input_shape, {1})},
                     {"weight_shape", site.weight_shape},
                     {"output_shape", sizes_at(site.output_shape, {1})},
                     {"groups", site.groups},
                     {"macs", site.macs},
                     {"weight_elements", site.weight_elements},
                     {"shares_input_with", other == nullptr ? nlohmann::json() : nlohmann::json(other->name)}});
  }
  nlohmann::json uniform = nlohmann::json::object();
  for (const Precision precision : scan.precisions) {
    const auto cost = scan.estimate(precision);
    uniform[to_string(precision)] = cost ? nlohmann::json(*cost) : nlohmann::json();
  }
  return {{"model", scan.loaded.name},
          {"sites", std::move(sites)},
          {"macs", scan.total(&Site::macs)},
          {"weight_elements", scan.total(&Site::weight_elements)},
          {"latency",
           {{"model", scan.latency.name()},
            {"origin", scan.latency.origin()},
            {"unit", scan.latency.unit()},
            {"uniform", std::move(uniform)}}}};
}

int run_scan(const Context& context, const Arguments& arguments) {
  const ModelRequest request = check(arguments.model);
  if (arguments.latency.starts_with("measured"))
    throw Error(Errc::InvalidArgument,
                "--latency is \"measured\", and scan measures nothing: `halftone bench` does; choose from " +
                    names(context.registry.latencies));
  const auto latency = context.registry.latency(arguments.latency, arguments.batch);
  const auto precisions = parse_precisions(arguments.precisions);
  const LoadedModel loaded = load(request, context.registry, arguments.common.seed);
  const Scan scan{arguments, loaded, *latency, precisions};
  if (arguments.common.json)
    print_json(context.out, to_json(scan));
  else
    print_text(scan, context.out);
  return 0;
}

}  // namespace

void add_scan(CLI::App& app, const Context& context, Action& action) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App& command = *app.add_subcommand("scan", "list a network's sites, their sizes and modelled latency");
  add_model(command, arguments->model);
  add_text(command, "--latency", arguments->latency, "MODEL",
           "roofline:DEVICE, spatial:RANKS:DEVICE, table:FILE or size");
  add_count(command, "--batch", arguments->batch, 1, "samples that one latency is of");
  add_text(command, "--precisions", arguments->precisions, "LIST", "whose latency to show: 16, 2 to 8, w4a8");
  add_common_but_threads(command, arguments->common);
  command.footer(
      "Examples:\n"
      "  halftone scan cifar_resnet56:random\n"
      "  halftone scan network.pt --input 3,224,224 --latency roofline:t4 --batch 8");
  command.callback(
      [arguments, &context, &action] { action = [arguments, &context] { return run_scan(context, *arguments); }; });
}

}  // namespace halftone::cli
