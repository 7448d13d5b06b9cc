#pragma once

#include <string>

#include "data/pickle.hpp"

namespace halftone::internal {

/// Whether `value` is a call that makes a tensor, of whatever kind.
bool is_tensor(const PickleValue& value);

/// A dictionary most of whose values are tensors, up to four levels deep, under texts for keys all the way: the only
/// one, or the one at `wanted` where that is not empty, such as "ema/model". Throws `NotFound`, with those that there
/// are, after `where`.
const PickleNode& choose_dictionary(const PickleDocument& document, const std::string& wanted,
                                    const std::string& where);

}  // namespace halftone::internal
