#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/cpu/Utils.h>
#include <ATen/ops/full.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <torch/version.h>

#include <array>
#include <cmath>
#include <fstream>
#include <ostream>
#include <thread>
#include <utility>

#include "cli/command.hpp"
#include "engine/cpu_features.hpp"
#include "halftone/core/error.hpp"
#include "halftone/distributed/mpi.hpp"
#include "halftone/version.hpp"
#include "report/text.hpp"

namespace halftone::cli {
namespace {

/// Calls an operator by name; throws where this LibTorch lacks it.
torch::jit::Stack call(const char* name, torch::jit::Stack stack) {
  c10::Dispatcher::singleton().findSchemaOrThrow(name, "").callBoxed(stack);
  return stack;
}

c10::List<std::optional<at::Scalar>> no_scalars() { return c10::List<std::optional<at::Scalar>>(); }

/// 16 products 2 * 3 in int8.
double int8_linear() {
  const auto weight = at::full({1, 16}, 3, at::kChar);
  const auto packed = call("onednn::qlinear_prepack", {weight, c10::IValue()}).at(0);
  const auto result =
      call("onednn::qlinear_pointwise",
           {at::full({1, 16}, 2, at::kByte), 1.0, 0, packed, at::full({1}, 1, at::kFloat), at::full({1}, 0, at::kInt),
            c10::IValue(), 1.0, 0, static_cast<std::int64_t>(at::kFloat), "none", no_scalars(), ""});
  return result.at(0).toTensor().item<double>();
}

double int8_convolution() {
  const std::vector<std::int64_t> one{1, 1};
  const std::vector<std::int64_t> zero{0, 0};
  const auto scales = at::full({1}, 1, at::kFloat);
  const auto packed = call("onednn::qconv_prepack",
                           {at::full({1, 16, 1, 1}, 3, at::kChar), scales, 1.0, 0, one, zero, one, 1, c10::IValue()})
                          .at(0);
  const auto result =
      call("onednn::qconv2d_pointwise",
           {at::full({1, 16, 1, 1}, 2, at::kByte), 1.0, 0, packed, scales, at::full({1}, 0, at::kInt), c10::IValue(),
            one, zero, one, 1, 1.0, 0, static_cast<std::int64_t>(at::kFloat), "none", no_scalars(), ""});
  return result.at(0).toTensor().item<double>();
}

double bf16_product() {
  if (!call("mkldnn::_is_mkldnn_bf16_supported", {}).at(0).toBool())
    throw Error(Errc::Unsupported, "oneDNN has no bfloat16 kernels for this CPU");
  const auto x = at::full({1, 16}, 2, at::kBFloat16);
  return x.matmul(at::full({16, 1}, 3, at::kBFloat16)).item<double>();
}

struct Probe {
  const char* name;
  double (*run)();  ///< 16 times 2 * 3
};
constexpr std::array kProbes{Probe{"int8 linear (onednn::qlinear_pointwise)", int8_linear},
                             Probe{"int8 convolution (onednn::qconv2d_pointwise)", int8_convolution},
                             Probe{"bfloat16 products (oneDNN)", bf16_product}};

/// "works", or why not.
std::string outcome(const Probe& probe) {
  try {
    const double result = probe.run();
    return result == 96 ? "works" : message("wrong result: ", result, " for 96");
  } catch (const c10::Error& error) {
    return "missing: " + std::string(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return std::string("missing: ") + error.what();
  }
}

/// GiB of the line that starts with `field`; nothing where the system does not say.
std::optional<double> memory_gib(const std::string& field) {
  std::ifstream file("/proc/meminfo");
  std::string name;
  for (double kib = 0; file >> name >> kib; file.ignore(256, '\n'))
    if (name == field + ":") return kib / (1 << 20);
  return std::nullopt;
}

nlohmann::json cpu_json() {
#ifdef __aarch64__
  constexpr std::array kMatters{"neon", "fp16_arith", "dot", "i8mm", "bf16", "sve"};
#else
  constexpr std::array kMatters{"avx2",        "avx512_f",    "avx_vnni", "avx512_vnni",
                                "avx512_bf16", "avx512_fp16", "amx_int8", "amx_bf16"};
#endif
  auto known = at::cpu::get_cpu_capabilities();
  nlohmann::json sets = nlohmann::json::object();
  for (const char* name : kMatters)
    if (const auto found = known.find(name); found != known.end() && found->second.isBool())
      sets[name] = found->second.toBool();
  return {{"name", internal::cpu_name()},
          {"libtorch_uses", at::get_cpu_capability()},
          {"instruction_sets", std::move(sets)},
          {"cores", std::thread::hardware_concurrency()}};
}

/// Version and what the engine can do, or why it cannot be used.
nlohmann::json engine_json(const std::string& name, const Registry& registry) {
  nlohmann::json found{
      {"name", name}, {"works", false}, {"version", nullptr}, {"float_type", nullptr}, {"problem", nullptr}};
  try {
    const auto engine = registry.engine(name);
    found["version"] = engine->version();
    const FloatType type = preferred_float(*engine);
    engine->require(type);
    engine->require_integers();
    found["float_type"] = to_string(type);
    found["works"] = true;
  } catch (const Error& error) {
    found["problem"] = error.what();
  }
  return found;
}

nlohmann::json examine(const Registry& registry) {
  nlohmann::json engines = nlohmann::json::array();
  for (const auto& [name, unused] : registry.engines) engines.push_back(engine_json(name, registry));
  nlohmann::json kernels = nlohmann::json::object();
  for (const Probe& probe : kProbes) kernels[probe.name] = outcome(probe);
  const auto memory = [](const char* field) {
    const auto gib = memory_gib(field);
    return gib ? nlohmann::json(std::round(*gib * 10) / 10) : nlohmann::json();
  };
#ifdef __clang__
  const std::string compiler = __VERSION__;
#else
  const std::string compiler = "GCC " __VERSION__;
#endif
  return {{"versions", {{"halftone", HALFTONE_VERSION}, {"libtorch", TORCH_VERSION}, {"compiler", compiler}}},
          {"cpu", cpu_json()},
          {"threads", at::get_num_threads()},
          {"memory_gib", {{"total", memory("MemTotal")}, {"available", memory("MemAvailable")}}},
          {"kernels", std::move(kernels)},
          {"engines", std::move(engines)},
          {"communicators", {{"gloo", true}, {"mpi", has_mpi()}, {"threads", true}}},
          {"default_engine", default_engine(registry)}};
}

void print_text(const nlohmann::json& found, std::ostream& out) {
  const auto text = [](const auto& value) {
    return value.is_string() ? value.template get<std::string>() : value.dump();
  };
  const auto section = [&](const char* title, const nlohmann::ordered_json& fields) {
    out << title << '\n';
    internal::TextTable table({internal::TextTable::Align::Left, internal::TextTable::Align::Left});
    for (const auto& [name, value] : fields.items()) table.add({name, text(value)});
    out << table.text();
  };
  const auto& versions = found["versions"];
  section("Versions",
          {{"halftone", versions["halftone"]}, {"LibTorch", versions["libtorch"]}, {"compiler", versions["compiler"]}});
  const auto& cpu = found["cpu"];
  std::string present;
  std::string absent;
  for (const auto& [name, has] : cpu["instruction_sets"].items()) {
    std::string& list = has.get<bool>() ? present : absent;
    list += (list.empty() ? "" : " ") + name;
  }
  section("CPU",
          {{"name", cpu["name"]},
           {"cores", cpu["cores"]},
           {"has", present},
           {"has not", absent},
           {"LibTorch uses", message(text(cpu["libtorch_uses"]), " and ", found["threads"].dump(), " threads")}});
  const auto& memory = found["memory_gib"];
  out << "Memory\n  " << memory["total"].dump() << " GiB, " << memory["available"].dump() << " GiB available\n";
  section("Low-precision kernels, tried just now", found["kernels"]);
  nlohmann::ordered_json engines;
  for (const auto& engine : found["engines"])
    engines[engine["name"].get<std::string>()] =
        engine["works"].get<bool>()
            ? message("works, version ", text(engine["version"]), ", all but integers in ", text(engine["float_type"]))
            : text(engine["problem"]);
  const bool mpi = found["communicators"]["mpi"].get<bool>();
  section("Communicators, over which ranks share work",
          {{"gloo", "processes, by `halftone launch` or RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT"},
           {"mpi", mpi ? "processes, by mpirun" : "missing: Halftone was built without MPI"},
           {"threads", "of one process, for programs that use the library"}});
  section("Engines, where latency is measured and plans are scored as deployed", engines);
}

}  // namespace

void add_doctor(CLI::App& app, const Context& context, Action& action) {
  auto options = std::make_shared<CommonOptions>();
  CLI::App& command = *app.add_subcommand("doctor", "show versions, machine, and what works here");
  add_json(command, *options);
  command.footer("Example:\n  halftone doctor --json");
  command.callback([options, &context, &action] {
    action = [options, &context] {
      const nlohmann::json found = examine(context.registry);
      if (options->json)
        print_json(context.out, found);
      else
        print_text(found, context.out);
      return 0;
    };
  });
}

}  // namespace halftone::cli
