#include "engine/cpu_features.hpp"

#include <ATen/cpu/Utils.h>

#include <array>
#include <fstream>
#include <set>

#include "halftone/core/error.hpp"

namespace halftone::internal {

void require_int8_dot_products() {
  constexpr std::array kAny{"avx512_vnni", "avx_vnni", "amx_int8"};
  auto known = at::cpu::get_cpu_capabilities();
  for (const char* name : kAny)
    if (const auto found = known.find(name); found != known.end() && found->second.isBool() && found->second.toBool())
      return;
  throw Error(Errc::Unsupported,
              "this CPU has no 8-bit dot products (avx512_vnni, avx_vnni or amx_int8), so that 8-bit networks gain "
              "nothing here: run on one that has, or let a model of the device that will serve the network decide "
              "(--latency roofline:DEVICE or table:FILE)");
}

std::string cpu_name() {
  auto known = at::cpu::get_cpu_capabilities();
  const auto name = known.find("cpu_name");
  return name != known.end() && name->second.isString() ? name->second.toStringRef() : "unknown";
}

std::string cpu_identity() {
  std::set<std::string> sets;
  for (const auto& [name, value] : at::cpu::get_cpu_capabilities())
    if (value.isBool() && value.toBool()) sets.insert(name);
  std::string text = cpu_name();
  for (const std::string& name : sets) text += ' ' + name;
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line) && !line.empty();)  // the first processor
    for (const char* field : {"cpu family\t", "model\t", "stepping\t", "CPU "})
      if (line.starts_with(field)) text += '\n' + line;
  return text;
}

}  // namespace halftone::internal
