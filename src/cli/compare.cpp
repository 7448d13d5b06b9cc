#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <ostream>

#include "cli/command.hpp"
#include "halftone/core/error.hpp"
#include "halftone/report/run_file.hpp"
#include "report/comparison.hpp"

namespace halftone::cli {
namespace {

struct Arguments {
  std::vector<std::string> runs;
  CommonOptions common;
};

int run_compare(const Context& context, const Arguments& arguments) {
  if (arguments.runs.size() < 2)
    throw Error(Errc::InvalidArgument, "compare puts runs side by side, and there is one: give two or more");
  std::vector<internal::NamedRun> runs;
  for (const std::string& name : arguments.runs) runs.push_back({name, read_run(name)});
  if (arguments.common.json)
    print_json(context.out, internal::comparison_json(runs));
  else
    context.out << internal::comparison_text(runs);
  return 0;
}

}  // namespace

void add_compare(CLI::App& app, const Context& context, Action& action) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App& command = *app.add_subcommand("compare", "put runs side by side, and say what does not compare");
  command
      .add_option("RUN", arguments->runs, "folders that `halftone quantize` wrote to, or\ntheir run.json; two or more")
      ->required()
      ->type_name("");
  add_json(command, arguments->common);
  command.footer(
      "Example:\n"
      "  halftone compare result-99 result-999/run.json");
  command.callback(
      [arguments, &context, &action] { action = [arguments, &context] { return run_compare(context, *arguments); }; });
}

}  // namespace halftone::cli
