#include "halftone/graph/model.hpp"

#include <ATen/ATen.h>

#include "halftone/core/digest.hpp"

namespace halftone {

std::string digest(const Model& model) {
  Digest digest;
  digest.add(to_string(model.graph));
  for (std::size_t id = 0; id < model.tensors.size(); ++id) {
    if (!model.tensors[id].defined()) continue;
    const at::Tensor tensor = model.tensors[id].detach().cpu().contiguous();
    digest.add(model.graph.values[id].name).add(at::toString(tensor.scalar_type()));
    digest.add_bytes({static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()});
  }
  return digest.hex();
}

}  // namespace halftone
