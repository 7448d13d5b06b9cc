#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "halftone/registry.hpp"

namespace halftone::cli {

/// Runs the command line `halftone ARGUMENTS…` with the pieces of `registry`; results go to `out`, all else to `err`.
/// Returns the exit code: 0 target met, 1 target not met (best plan written), 2 usage or input error, 3 internal error
/// or a lost rank. Ctrl-C while it runs keeps the best result so far.
int run(const Registry& registry, const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);

}  // namespace halftone::cli
