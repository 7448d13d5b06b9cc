#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <string>
#include <vector>

#include "halftone/evaluate/task.hpp"

/// Damage is the squared error of the first output, summed over its elements; every score is 0.
class SquaredError : public halftone::Task {
 public:
  [[nodiscard]] std::string name() const override { return "squared"; }

 protected:
  [[nodiscard]] at::Tensor do_damage(const std::vector<at::Tensor>& outputs,
                                     const std::vector<at::Tensor>& clean) const override {
    return (outputs[0].to(at::kDouble) - clean[0].to(at::kDouble)).square().flatten(1).sum(1);
  }

 private:
  void do_check(const std::vector<at::Tensor>&, const halftone::Dataset&) const override {}
  [[nodiscard]] at::Tensor do_score(const std::vector<at::Tensor>& outputs, const at::Tensor&) const override {
    return at::zeros({outputs[0].size(0)}, at::kDouble);
  }
  /// By default a response is in units of the clean outputs, and this damage is not.
  [[nodiscard]] at::Tensor do_response(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& clean,
                                       double) const override {
    return (outputs[0].to(at::kDouble) - clean[0].to(at::kDouble)).flatten(1) * std::sqrt(2.0);
  }
};
