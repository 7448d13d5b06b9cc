#pragma once

#include <string>

namespace halftone::internal {

/// Throws `Unsupported`, naming what is missing and the way round, where this CPU has no 8-bit dot products: 8-bit
/// networks then run no faster than others.
void require_int8_dot_products();

/// As the CPU calls itself; "unknown" where it does not.
std::string cpu_name();

/// Name, instruction sets and, where the system tells them, family, model and stepping: virtual machines hide the name.
std::string cpu_identity();

}  // namespace halftone::internal
