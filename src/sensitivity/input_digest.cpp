#include "sensitivity/input_digest.hpp"

#include <nlohmann/json.hpp>

#include "halftone/core/digest.hpp"
#include "halftone/version.hpp"

namespace halftone::internal {

std::string input_digest(const SensitivityInput& input) {
  Digest all;
  all.add(HALFTONE_VERSION).add(digest(input.model)).add(nlohmann::json(input.calibration).dump());
  all.add(input.data.digest()).add(input.task.name()).add(static_cast<std::int64_t>(input.seed));
  for (const Site& site : input.model.sites) all.add(site.name);
  for (const Precision precision : input.precisions) all.add(to_string(precision));
  return all.hex();
}

}  // namespace halftone::internal
