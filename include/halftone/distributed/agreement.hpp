#pragma once

#include <string>

#include "halftone/distributed/communicator.hpp"

namespace halftone {

/// Throws `InvalidArgument` on all ranks where not all give the same `text`, naming `what` differs, e.g. "data", and
/// which ranks have something else than most. All ranks call. Long texts are better digested.
void require_same(Communicator& ranks, const std::string& what, const std::string& text);

}  // namespace halftone
