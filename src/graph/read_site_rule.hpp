#pragma once

#include "core/json_field.hpp"
#include "halftone/graph/site_rules.hpp"

namespace halftone::internal {

/// One rule, as `to_json` writes it. Throws `BadFile` naming the field.
SiteRule read_site_rule(const JsonField& field);

}  // namespace halftone::internal
