#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <string>
#include <vector>

#include "halftone/calibrate/histogram.hpp"
#include "halftone/graph/interpreter.hpp"

namespace halftone::internal {

/// Which histogram each site's input is counted in: sites that read one tensor share one.
struct InputSlots {
  explicit InputSlots(const Model& model);

  std::vector<std::size_t> of_site;
  std::vector<std::size_t> first_site;  ///< by slot: the site that reads it first
};

/// Adds `other`, which may grow, to `histogram`. Parts may be merged in any order: the sum is the same.
void merge(Histogram& histogram, Histogram& other);

/// Counts what the sites of one pass after another read, each tensor once. Throws `NonFinite` naming the site where a
/// value is NaN or infinite in float32.
class Observer final : public SiteVisitor {
 public:
  Observer(const Model& model, const InputSlots& slots);

  at::Tensor input(std::size_t index, const at::Tensor& activation) override;

  /// What runs next, for messages: "samples 32 to 47 of cifar10:x.bin".
  void set_context(std::string context) { context_ = std::move(context); }
  [[nodiscard]] std::vector<Histogram>& histograms() { return histograms_; }

 private:
  const Model& model_;
  const InputSlots& slots_;
  std::string context_;
  std::vector<Histogram> histograms_;
};

}  // namespace halftone::internal
