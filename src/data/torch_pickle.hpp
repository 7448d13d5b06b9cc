#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/pickle.hpp"
#include "halftone/core/dtype.hpp"

/// What `torch.save` writes into a pickle stream: where the content of tensors lies and how it is laid out.
namespace halftone::internal {

struct StoredStorage {
  std::uint64_t bytes = 0;
  std::uint64_t element_bytes = 0;
};

/// A view of a storage. Elements lie inside it; strides are not negative.
struct StoredTensor {
  std::string name;
  DType dtype = DType::Float32;
  std::string storage;      ///< its key
  std::int64_t offset = 0;  ///< of the first element, in elements
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;  ///< in elements
};

struct StoredStateDict {
  std::map<std::string, StoredStorage> storages;  ///< by key: all that the stream refers to
  std::vector<StoredTensor> tensors;              ///< of one dictionary, in its order
};

struct StateDictRequest {
  std::string where;             ///< in messages
  std::string dictionary;        ///< "ema/model"; empty: the only dictionary of tensors
  std::uint64_t most_bytes = 0;  ///< that a tensor may need
};

/// The tensors of one dictionary of `document`. Other values in it are left out. Throws `BadFile` for what is
/// malformed, `Unsupported` for tensors of other kinds, such as sparse or quantized ones, and `NotFound` where no
/// dictionary, or more than one, can be meant, with those that there are.
StoredStateDict find_state_dict(const PickleDocument& document, const StateDictRequest& request);

}  // namespace halftone::internal
