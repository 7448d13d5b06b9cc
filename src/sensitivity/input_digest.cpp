#include "sensitivity/input_digest.hpp"

#include <ATen/Version.h>
#include <nlohmann/json.hpp>
#include <torch/version.h>

#include "core/code_version.hpp"
#include "halftone/core/digest.hpp"

namespace halftone::internal {

std::string input_digest(const SensitivityInput& input) {
  if (!input.digest.empty()) return input.digest;
  const auto data = input.data.digest(input.threads, input.monitor);
  if (!data) throw Stopped();
  Digest all;
  all.add(code_version()).add(TORCH_VERSION).add(at::get_cpu_capability());
  all.add(digest(input.model)).add(nlohmann::json(input.calibration).dump());
  all.add(*data).add(input.task.identity()).add(static_cast<std::int64_t>(input.seed));
  for (const Site& site : input.model.sites) all.add(site.name);
  for (const Precision precision : input.precisions) all.add(to_string(precision));
  return all.hex();
}

}  // namespace halftone::internal
