#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "halftone/scaling/collectives.hpp"

namespace halftone::internal {

inline bool is_positive(double number) { return std::isfinite(number) && number > 0; }

std::vector<std::string> validate_link(const Link& link, const std::string& name);
std::vector<std::string> validate_torus(const Torus& torus);

}  // namespace halftone::internal
