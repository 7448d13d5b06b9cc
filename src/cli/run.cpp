#include "halftone/cli/run.hpp"

#include <CLI/CLI.hpp>
#include <c10/util/Exception.h>

#include <algorithm>
#include <ostream>

#include "cli/command.hpp"
#include "cli/ranks.hpp"
#include "halftone/core/error.hpp"
#include "halftone/version.hpp"

namespace halftone::cli {
namespace {

constexpr int kUsageError = 2;
constexpr int kInternalError = 3;
constexpr int kLostRank = 3;

constexpr const char* kFooter =
    "Examples:\n"
    "  halftone quantize cifar_resnet20:weights.safetensors --calibrate 'cifar10:train.bin[0:500]' \\\n"
    "    --validate cifar10:test.bin --report 20% --keep 99.9% --out result\n"
    "  halftone evaluate cifar_resnet20:weights.safetensors --data cifar10:test.bin \\\n"
    "    --plan result/plan.json\n"
    "  halftone scan cifar_resnet56:random\n"
    "\n"
    "DATA is cifar10:FILE.bin, images:DIRECTORY (JPEG, PNG), sts:FILE.tsv, text:FILE.tsv, squad:FILE.json,\n"
    "npy:A.npy,target=T.npy or FILE.safetensors (inputs by name, and target); [a:b] behind it takes samples\n"
    "a to b-1.\n"
    "Exit codes: 0 target met, 1 target not met or stopped (best plan written, where one was scored), 2 usage or\n"
    "input error, 3 internal error or lost rank. `halftone COMMAND --help` has the options of a command.";

/// CLI11's text for an option given twice says neither which nor what to do.
std::string text_of(const CLI::ParseError& error) {
  const std::string text = error.what();
  const auto mark = text.find(": At Most 1 required but received ");
  return mark == std::string::npos ? text : text.substr(0, mark) + " is given more than once: give it once";
}

int act(const Action& action, std::ostream& out, std::ostream& err) {
  try {
    const int code = action();
    if (!out.flush()) throw Error(Errc::Io, "the result could not be written to standard output");
    return code;
  } catch (const Error& error) {
    if (error.code() == Errc::LostRank) {
      err << "halftone: " << error.what() << '\n';
      return kLostRank;
    }
    const bool internal = error.code() == Errc::Internal;
    err << (internal ? "halftone: internal error: " : "halftone: ") << error.what() << '\n';
    return internal ? kInternalError : kUsageError;
  } catch (const c10::Error& error) {
    err << "halftone: internal error in LibTorch: " << error.what_without_backtrace() << '\n';
  } catch (const std::exception& error) {
    err << "halftone: internal error: " << error.what() << '\n';
  }
  return kInternalError;
}

}  // namespace

int run(const Registry& registry, const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  CLI::App app(
      "Mixed-precision post-training quantization: the precision of every convolution and matrix\n"
      "product that makes a network fastest while it keeps the accuracy you ask for.\n",
      "halftone");
  app.set_version_flag("--version", "halftone " HALFTONE_VERSION, "print the version");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.get_formatter()->column_width(32);

  const Context context{registry, out, err, communicator_from_environment};
  Action action;
  add_quantize(app, context, action);
  add_scan(app, context, action);
  add_sense(app, context, action);
  add_evaluate(app, context, action);
  add_bench(app, context, action);
  add_export(app, context, action);
  add_report(app, context, action);
  add_compare(app, context, action);
  add_models(app, context, action);
  add_launch(app, context, action);
  add_doctor(app, context, action);
  if (arguments.empty()) {
    err << app.help();
    return kUsageError;
  }
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (!word.empty() && !(word.starts_with("--") && word.ends_with('='))) continue;
    err << "halftone: " << (word.empty() && i > 0 ? arguments[i - 1] : word)
        << " is given nothing (''): give it a value or leave it out\n";
    return kUsageError;
  }
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::Success& asked) {  // help, version
    return app.exit(asked, out, err);
  } catch (const CLI::ParseError& error) {
    const auto chosen = app.get_subcommands();
    // What is misspelt explains what is missing.
    const auto unknown = app.remaining(/*recurse=*/true);
    const bool misspelt = !unknown.empty() && unknown.front() != "--";  // the command of launch
    err << "halftone: " << (misspelt ? "\"" + unknown.front() + "\" is not known here" : text_of(error)) << "\nhalftone"
        << (chosen.empty() ? "" : " " + chosen.front()->get_name()) << " --help shows what there is.\n";
    return kUsageError;
  }
  return act(action, out, err);
}

}  // namespace halftone::cli
