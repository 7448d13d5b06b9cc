#include <ATen/ATen.h>

#include <bit>
#include <cstddef>

#include "core/quoted.hpp"
#include "core/scalar_type.hpp"
#include "halftone/core/error.hpp"
#include "halftone/data/safetensors.hpp"
#include "halftone/models/trainable.hpp"

namespace halftone {

void save_weights(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors) {
  static_assert(std::endian::native == std::endian::little, "safetensors bytes are little-endian");
  std::vector<at::Tensor> kept;  // what entries refer to
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, tensor, is_buffer] : tensors) {
    const auto dtype = internal::to_dtype(tensor.scalar_type());
    if (!dtype)
      throw Error(Errc::Unsupported, message("tensor ", internal::quoted(name), " is of type ", tensor.scalar_type(),
                                             ", which safetensors files do not have: convert it"));
    kept.push_back(tensor.detach().cpu().contiguous());
    const auto* const data = static_cast<const std::byte*>(kept.back().const_data_ptr());
    entries.push_back({name, *dtype, kept.back().sizes().vec(), {data, kept.back().nbytes()}});
  }
  write_safetensors(path, entries);
}

}  // namespace halftone
