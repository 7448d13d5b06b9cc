#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "halftone/calibrate/calibration.hpp"
#include "halftone/core/plan.hpp"
#include "halftone/graph/capture.hpp"
#include "halftone/graph/model.hpp"

/// Small networks that use, together, every operator that the export translates; each has at least one site.
namespace battery {

using Tensors = std::vector<at::Tensor>;

inline constexpr std::int64_t kBatch = 3;  ///< of `Network::inputs`

struct Network {
  std::string name;
  halftone::Model model;  ///< prepared
  Tensors inputs;         ///< [kBatch, …]
  halftone::Calibration calibration;
  bool fixed_batch_only = false;
  bool in_doubles = false;  ///< needs float64, which not every engine has
};

/// Weights of one network by name, drawn at their first use.
class Weights {
 public:
  /// Values in [-factor, factor).
  at::Tensor operator()(const std::string& name, std::vector<std::int64_t> shape, double factor = 0.5) const;
  [[nodiscard]] std::vector<halftone::NamedTensor> all() const;

 private:
  std::shared_ptr<std::map<std::string, at::Tensor>> tensors_ = std::make_shared<std::map<std::string, at::Tensor>>();
};

using Forward = std::function<Tensors(const Tensors& x, const Weights& w)>;

/// Captures `forward`; inputs are drawn in `sample_shapes` without the batch.
Network network(const std::string& name, const std::vector<std::vector<std::int64_t>>& sample_shapes,
                const Forward& forward, const halftone::SiteOptions& sites = {});
/// The same on `inputs` [kCalibrated, …], of which the first kBatch become the network's.
Network network_on(const std::string& name, const Tensors& inputs, const Forward& forward,
                   const halftone::SiteOptions& sites = {});
inline constexpr std::int64_t kCalibrated = 8;

std::vector<Network> convolutions();
std::vector<Network> layers();
std::vector<Network> elementwise();
std::vector<Network> shapes();
std::vector<Network> all();
std::vector<Network> additions();  ///< with operands of additions as sites
std::vector<Network> products();   ///< with operands of products as sites
std::vector<Network> operands();   ///< both; not among `all`

/// Every site's precision one of a few, in turn.
halftone::Plan mixed_plan(std::size_t sites);

/// What an engine is to compute: LibTorch's outputs with integer operands quantized and back, all else float32.
Tensors reference(const Network& network, const halftone::Plan& plan);

}  // namespace battery
