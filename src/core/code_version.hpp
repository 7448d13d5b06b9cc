#pragma once

#include <string>

namespace halftone::internal {

/// Tells one build of this program from another: the version, and the identity that the linker gave the program that
/// runs. Results of one code are not taken for those of another.
const std::string& code_version();

}  // namespace halftone::internal
