#pragma once

#include "halftone/core/error.hpp"
#include "halftone/data/dataset.hpp"

namespace halftone::internal {

/// Throws `InvalidArgument` unless `data` has a sample `index`.
inline void require_sample(const Dataset& data, std::int64_t index) {
  if (index < 0 || index >= data.size())
    throw Error(Errc::InvalidArgument,
                message("data \"", data.name(), "\" has no sample ", index, ": it holds ", data.size(), " samples"));
}

}  // namespace halftone::internal
