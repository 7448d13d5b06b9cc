#include "sensitivity/input_digest.hpp"

#include <ATen/Version.h>
#include <nlohmann/json.hpp>
#include <torch/version.h>

#include "halftone/core/digest.hpp"
#include "halftone/version.hpp"

namespace halftone::internal {

std::string input_digest(const SensitivityInput& input) {
  if (!input.digest.empty()) return input.digest;
  constexpr std::int64_t kLayout = 2;  // of what journals hold: to be raised where records or kernels change
  const auto data = input.data.digest(input.threads, input.monitor);
  if (!data) throw Stopped();
  Digest all;
  all.add(HALFTONE_VERSION).add(TORCH_VERSION).add(at::get_cpu_capability()).add(kLayout);
  all.add(digest(input.model)).add(nlohmann::json(input.calibration).dump());
  all.add(*data).add(input.task.name()).add(static_cast<std::int64_t>(input.seed));
  for (const Site& site : input.model.sites) all.add(site.name);
  for (const Precision precision : input.precisions) all.add(to_string(precision));
  return all.hex();
}

}  // namespace halftone::internal
