#pragma once

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "engine/libtorch/site_kernel.hpp"

namespace halftone::internal {

/// What a site's kernel does with its product before it writes it: adds `residual`, applies `activation`, clips.
struct PostOps {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  std::string activation{};           ///< "gelu", "swish", "hardswish", as LibTorch's kernels spell it; mostly none
  std::string algorithm{};            ///< of gelu: "none" or "tanh"
  std::optional<ValueId> residual{};  ///< convolutions write their result over it
};

/// A site with the operators behind it that its kernel does as well.
struct FusedSite {
  std::size_t site = 0;
  std::size_t position = 0;          ///< node in whose place it runs
  std::vector<std::size_t> nodes{};  ///< that it stands for, the site's own first
  ValueId output = 0;                ///< of the last of them
  PostOps post{};
};

/// Finds what each site's kernel can do beside the product: site -> [+ residual] -> [relu | clip | gelu …]. In the
/// order of the sites, whose kernels are `kernels`. A residual is fused into a convolution only where nothing reads the
/// overwritten value later and no other value shares its memory.
std::vector<FusedSite> fuse(const Graph& graph, const std::vector<Site>& sites, const std::vector<SiteKernel>& kernels);

/// Every site alone.
std::vector<FusedSite> unfused(const Graph& graph, const std::vector<Site>& sites);

}  // namespace halftone::internal
