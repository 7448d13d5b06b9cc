#pragma once

#include <string>
#include <vector>

#include "halftone/distributed/communicator.hpp"

namespace halftone {

/// Throws `InvalidArgument` where `texts`, by rank, are not all the same, naming `what` differs, e.g. "data", and which
/// ranks have something else than most.
void require_same(const std::string& what, const std::vector<std::string>& texts);

/// The same of what each rank gives, on all ranks. All ranks call. Long texts are better digested.
void require_same(Communicator& ranks, const std::string& what, const std::string& text);

}  // namespace halftone
