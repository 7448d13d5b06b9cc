#pragma once

#include "halftone/distributed/team.hpp"

namespace halftone::internal {

/// Throws where ranks run different programs, or on processors of different kinds: kernels then round otherwise.
void require_same_machine(Team& team);

}  // namespace halftone::internal
