#pragma once

#include <string>

namespace halftone::internal {

/// Tells one build of this code from another: the version, and the identity (build id) that the linker gave the
/// program, or the library, that it is in; the version alone where it gave none. Results of one code are not taken for
/// those of another.
const std::string& code_version();

}  // namespace halftone::internal
