#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "halftone/graph/graph.hpp"
#include "halftone/graph/site.hpp"

namespace halftone {

/// A captured network: structure, tensors, and (once prepared) the sites whose precision can be chosen.
struct Model {
  Graph graph;
  std::vector<at::Tensor> tensors;  ///< by ValueId; defined for parameters and constants only
  std::vector<Site> sites;          ///< empty until `prepare`
};

/// Fingerprint of structure and weights.
std::string digest(const Model& model);

}  // namespace halftone
