#include "quantize/same_machine.hpp"

#include <ATen/Version.h>
#include <torch/version.h>

#include "core/code_version.hpp"
#include "engine/cpu_features.hpp"
#include "halftone/core/error.hpp"

namespace halftone::internal {

void require_same_machine(Team& team) {
  team.require_same("program or processor",
                    message(cpu_identity(), ' ', at::get_cpu_capability(), ' ', TORCH_VERSION, ' ', code_version()));
}

}  // namespace halftone::internal
