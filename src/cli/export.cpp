#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <ostream>

#include "cli/command.hpp"
#include "cli/subject.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/file.hpp"
#include "halftone/export/onnx.hpp"

namespace halftone::cli {
namespace {

struct Arguments {
  ModelOptions model;
  CommonOptions common;
  SubjectOptions subject;
  std::string sub_byte = "emulated";
  std::int64_t batch = 0;
  std::string out;
};

SubByte parse_sub_byte(const std::string& text) {
  if (text == "emulated") return SubByte::Emulated;
  if (text == "native") return SubByte::Native;
  throw Error(Errc::InvalidArgument, message("--sub-byte is \"", text,
                                             "\": emulated (in 8-bit types, runs everywhere) or native (4-bit types) "
                                             "is needed"));
}

int run_export(const Context& context, const Arguments& arguments) {
  constexpr std::int64_t kCalibrationBatch = 16;
  const ModelRequest model = check(arguments.model);
  const SubjectRequest request = check(arguments.subject, kCalibrationBatch, arguments.common);
  require_calibration_used(request);
  OnnxOptions options{.batch = std::nullopt, .sub_byte = parse_sub_byte(arguments.sub_byte)};
  if (arguments.batch > 0) options.batch = arguments.batch;
  const LoadedModel loaded = load(model, request, context.registry, arguments.common.seed);
  const std::filesystem::path folder = std::filesystem::absolute(arguments.out).parent_path();
  if (!std::filesystem::is_directory(folder))
    throw Error(Errc::Io,
                message("--out is \"", arguments.out, "\": there is no folder ", folder, ": create it first"));
  require_writable(folder);
  require_replaceable(arguments.out);
  std::optional<Subject> subject;
  {
    Watch watch(context.err, arguments.common.quiet);
    subject = make_subject(request, loaded, watch.monitor());
  }
  if (!subject) {
    context.err << "Stopped on request: nothing was written.\n";
    return 1;
  }
  const std::string onnx = to_onnx(subject->network(loaded), subject->plan, subject->calibration, options);
  write_atomically(arguments.out, onnx);
  if (arguments.common.json) {
    print_json(context.out, {{"written", arguments.out},
                             {"bytes", onnx.size()},
                             {"batch", options.batch ? nlohmann::json(*options.batch) : nlohmann::json()},
                             {"network", describe(request, subject->plan)},
                             {"random_ranges", subject->random_ranges},
                             {"model_digest", digest(loaded.model)}});
    return 0;
  }
  context.out << "Written: " << arguments.out << ", " << arguments.model.spec << " with "
              << describe(request, subject->plan) << ", " << onnx.size() << " bytes\n";
  if (subject->random_ranges)
    context.out << "! Its ranges come from random inputs: right for time, not for accuracy.\n";
  return 0;
}

}  // namespace

void add_export(CLI::App& app, const Context& context, Action& action) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App& command = *app.add_subcommand("export", "write a network under a plan as ONNX");
  add_model(command, arguments->model);
  add_subject(command, arguments->subject);
  add_text(command, "--out", arguments->out, "FILE", "the ONNX file to write")->required();
  add_count(command, "--batch", arguments->batch, 0, "samples a pass; 0: chosen at run time");
  add_text(command, "--sub-byte", arguments->sub_byte, "FORM",
           "operands of fewer than 8 bits: emulated (in 8-bit types, runs\neverywhere) or native (4-bit types, opset "
           "21)");
  add_common(command, arguments->common);
  command.footer(
      "Operands of fewer than 16 bits pass through QuantizeLinear and DequantizeLinear; all else is\n"
      "float32, for the engine to run in bfloat16 or as it likes.\n\n"
      "Example:\n"
      "  halftone export cifar_resnet20:weights.safetensors --plan result/plan.json --out network.onnx");
  command.callback(
      [arguments, &context, &action] { action = [arguments, &context] { return run_export(context, *arguments); }; });
}

}  // namespace halftone::cli
