#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <ostream>

#include "cli/command.hpp"
#include "halftone/core/error.hpp"
#include "report/text.hpp"

namespace halftone::cli {
namespace {

std::vector<Architecture> known(const Registry& registry) {
  std::vector<Architecture> found;
  for (const auto& family : registry.architectures)
    for (const auto& name : family.names)
      if (auto architecture = family.find(name)) found.push_back(std::move(*architecture));
  return found;
}

std::string list(const auto& numbers, const char* separator) {
  std::string text;
  for (const auto number : numbers) text += message(text.empty() ? "" : separator, number);
  return text;
}

std::string input_text(const Architecture& architecture) {
  const std::string shape = list(architecture.input_shape, "x");
  const std::string kind = architecture.vocabulary > 0 ? message(" token ids below ", architecture.vocabulary) : "";
  return message(shape, kind, ", ", architecture.classes, " classes");
}

std::string pixels_text(const Architecture& architecture) {
  if (!architecture.normalization) return {};
  const auto& [mean, std] = *architecture.normalization;
  return message("(x / 255 - mean) / std; mean ", list(mean, ", "), "; std ", list(std, ", "));
}

void print_text(const std::vector<Architecture>& architectures, std::ostream& out) {
  const auto field = [&out](const char* name, const std::string& value) {
    if (!value.empty()) out << "  " << name << internal::wrapped(value, 14) << '\n';
  };
  for (const auto& architecture : architectures) {
    out << architecture.name << '\n';
    field("network     ", architecture.summary);
    field("input       ", input_text(architecture));
    field("pixels      ", pixels_text(architecture));
    field("weights     ", architecture.weights);
    field("accuracy    ", architecture.known_accuracy);
    out << '\n';
  }
  out << "Use one as NAME:weights.safetensors, NAME:weights.pth (of torch.save), or NAME:random for its shapes\n"
         "alone. Any depth 6n+2 of a CIFAR or Fashion ResNet and any BERT length to 512 work. Other networks\n"
         "come from torch.export: x.pt2; or as TorchScript: x.pt with --input.\n";
}

nlohmann::json to_json(const std::vector<Architecture>& architectures) {
  nlohmann::json models = nlohmann::json::array();
  for (const auto& architecture : architectures) {
    models.push_back({{"name", architecture.name},
                      {"summary", architecture.summary},
                      {"input_shape", architecture.input_shape},
                      {"classes", architecture.classes},
                      {"weights", architecture.weights},
                      {"known_accuracy", architecture.known_accuracy}});
    if (architecture.vocabulary > 0) models.back()["vocabulary"] = architecture.vocabulary;
    if (!architecture.normalization) continue;
    models.back()["mean"] = architecture.normalization->mean;
    models.back()["std"] = architecture.normalization->std;
  }
  return {{"models", std::move(models)}};
}

}  // namespace

void add_models(CLI::App& app, const Context& context, Action& action) {
  auto options = std::make_shared<CommonOptions>();
  CLI::App& command = *app.add_subcommand("models", "list the architectures that ship");
  add_json(command, *options);
  command.footer("Example:\n  halftone models");
  command.callback([options, &context, &action] {
    action = [options, &context] {
      const auto architectures = known(context.registry);
      if (options->json)
        print_json(context.out, to_json(architectures));
      else
        print_text(architectures, context.out);
      return 0;
    };
  });
}

}  // namespace halftone::cli
