#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <ostream>

#include "cli/command.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/file.hpp"
#include "halftone/report/html_report.hpp"
#include "halftone/report/markdown_report.hpp"
#include "halftone/report/run_file.hpp"

namespace halftone::cli {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::string run;
  std::string format = "html";
  std::string out;
  CommonOptions common;
};

std::string make_report(const RunResult& run, const std::string& format) {
  if (format == "text") return text_report(run);
  if (format == "markdown") return markdown_report(run);
  return html_report(run);
}

/// Where the report goes; empty for standard output. A page goes beside its run.json, what is to be read or pasted does
/// not become a file unless asked for.
fs::path choose_output(const Arguments& arguments) {
  if (!arguments.out.empty()) return arguments.out;
  if (arguments.format != "html") return {};
  const fs::path run(arguments.run);
  return (fs::is_directory(run) ? run : run.parent_path()) / "report.html";
}

int run_report(const Context& context, const Arguments& arguments) {
  if (arguments.format != "html" && arguments.format != "text" && arguments.format != "markdown")
    throw Error(Errc::InvalidArgument,
                message("--format is \"", arguments.format, "\": html, text or markdown is needed"));
  const fs::path output = choose_output(arguments);
  const RunResult run = read_run(arguments.run);
  const std::string report = make_report(run, arguments.format);
  if (!output.empty()) {
    require_output(output.has_parent_path() ? output.parent_path() : ".", {output.filename().string()});
    write_atomically(output, report);
  }
  if (arguments.common.json) {
    nlohmann::json object{{"format", arguments.format},
                          {"model", run.model},
                          {"status", to_string(run.status)},
                          {"bytes", report.size()},
                          {"out", output.empty() ? nlohmann::json() : nlohmann::json(output.string())}};
    if (output.empty()) object["report"] = report;
    print_json(context.out, object);
  } else if (output.empty()) {
    context.out << report;
  } else {
    context.out << "Written: " << output.string() << '\n';
    if (arguments.format == "html" && !html_report_has_plots())
      context.err << "This build has no Vega-Lite: the page has tables and no plots.\n";
  }
  return 0;
}

}  // namespace

void add_report(CLI::App& app, const Context& context, Action& action) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App& command = *app.add_subcommand("report", "make report.html, or text or Markdown, from a run.json");
  command.add_option("RUN", arguments->run, "folder that `halftone quantize` wrote to, or its run.json")
      ->required()
      ->type_name("");
  add_text(command, "--format", arguments->format, "FORMAT",
           "html (a page with plots that fetches nothing), text, or markdown\n(for an issue or a pull request)");
  add_text(command, "--out", arguments->out, "FILE",
           "where to write it: by default html is written to report.html\nbeside run.json, and text and markdown are "
           "printed");
  add_json(command, arguments->common);
  command.footer(
      "Examples:\n"
      "  halftone report result\n"
      "  halftone report result/run.json --format markdown");
  command.callback(
      [arguments, &context, &action] { action = [arguments, &context] { return run_report(context, *arguments); }; });
}

}  // namespace halftone::cli
