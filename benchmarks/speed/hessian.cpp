// Hessian traces by site to a standard error (of 5 %): of all sites together, by backward passes from random signs, as
// the metric "hessian" has it, and of one site at a time, by products with its Hessian on one batch of all samples. One
// thread, on ResNet-20, in seconds of the processor: they suffer less from a busy machine.
// hessian_speed [ASSETS [DATA [STANDARD_ERROR [SITES]]]]: so many sites are taken one at a time, evenly spaced
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <iostream>
#include <malloc.h>

#include "../processor_seconds.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "halftone/graph/interpreter.hpp"
#include "halftone/models/architecture.hpp"
#include "halftone/sensitivity/metrics.hpp"

namespace {

using namespace halftone;
using benchmarks::processor_seconds;

constexpr int kMostProbes = 1000;

class OneWeight final : public SiteVisitor {
 public:
  explicit OneWeight(std::size_t site) : site_(site) {}
  at::Tensor weight(std::size_t index, const at::Tensor& weight) override {
    if (index != site_) return weight;
    return variable = weight.detach().requires_grad_();
  }
  at::Tensor variable;

 private:
  std::size_t site_;
};

struct Trace {
  double value = 0;
  double standard_error = 0;
  int probes = 0;
};

/// Source: Yao et al., PyHessian: Neural Networks Through the Lens of the Hessian, 2020, section 3, for one layer, with
/// damage in place of a loss by labels.
Trace trace_of_one(const SensitivityInput& input, std::size_t site, double standard_error, int fewest) {
  const Interpreter interpreter(input.model);
  OneWeight visitor(site);
  const Batch batch = input.data.range(0, input.data.size());
  const auto outputs = interpreter.run(batch.inputs, &visitor);
  const at::Tensor damage = input.task.damage(outputs, {outputs[0].detach()}).mean();
  const auto gradient = torch::autograd::grad({damage}, {visitor.variable}, {}, /*retain_graph=*/true,
                                              /*create_graph=*/true);
  auto generator = at::make_generator<at::CPUGeneratorImpl>(site);
  Trace trace;
  double squares = 0;
  while (trace.probes < kMostProbes) {
    const at::Tensor signs = at::empty_like(visitor.variable).detach().random_(0, 2, generator).mul_(2).sub_(1);
    const auto product = torch::autograd::grad(gradient, {visitor.variable}, {signs}, /*retain_graph=*/true);
    const double drawn = (signs * product[0]).sum(at::kDouble).item<double>();
    const double before = trace.value;
    trace.value += (drawn - before) / ++trace.probes;
    squares += (drawn - before) * (drawn - trace.value);
    if (trace.probes < fewest) continue;
    trace.standard_error = std::sqrt(squares / (trace.probes - 1) / trace.probes);
    if (trace.standard_error <= standard_error * trace.value) break;
  }
  return trace;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string assets = argc > 1 ? argv[1] : "assets";
  at::set_num_threads(1);
  mallopt(M_MMAP_THRESHOLD, 1 << 30);  // as the program does: see src/cli/main.cpp
  mallopt(M_TRIM_THRESHOLD, 1 << 30);

  const auto network = load_model("cifar_resnet20:" + assets + "/cifar_resnet20.safetensors");
  const std::string samples = argc > 2 ? argv[2] : "cifar10:" + assets + "/cifar10/calibration.bin";
  const auto data = open_dataset(samples, network.data);
  const std::vector<Precision> precisions{k8};
  const Calibration calibration = calibrate(network.model, *data, precisions);
  const auto task = make_top_k(1);
  const SensitivityInput input{
      .model = network.model, .calibration = calibration, .data = *data, .task = *task, .precisions = precisions};
  const HessianOptions options{.most_probes = kMostProbes, .standard_error = argc > 3 ? std::stod(argv[3]) : 0.05};
  double start = processor_seconds();
  const SensitivityTable together = make_hessian(options)->measure(input);
  const double seconds_together = processor_seconds() - start;

  std::cout << std::left << std::setw(24) << "site" << std::right << std::setw(12) << "together" << std::setw(8) << "+-"
            << std::setw(12) << "alone" << std::setw(8) << "+-" << std::setw(8) << "probes" << std::setw(9) << "s\n";
  double seconds = 0;
  const std::size_t sites = network.model.sites.size();
  const std::size_t taken = argc > 4 ? std::min(std::stoul(argv[4]), sites) : sites;
  for (std::size_t k = 0; k < taken; ++k) {
    const std::size_t i = k * sites / taken;
    start = processor_seconds();
    const Trace alone = trace_of_one(input, i, options.standard_error, options.probes);
    const double took = processor_seconds() - start;
    seconds += took;
    std::cout << std::left << std::setw(24) << network.model.sites[i].name << std::right << std::setprecision(4)
              << std::setw(12) << together.scores[i].at(k8) << std::setw(8) << std::setprecision(2)
              << together.standard_errors[i].at(k8) << std::setw(12) << std::setprecision(4) << alone.value
              << std::setw(8) << std::setprecision(2) << alone.standard_error << std::setw(8) << alone.probes
              << std::setw(8) << std::setprecision(3) << took << std::endl;
  }
  std::cout
      << "together " << seconds_together << " s for " << sites << " sites (" << together.forward_passes << " forward, "
      << together.backward_passes << " backward passes); one at a time " << seconds << " s for " << taken
      << " of them: " << seconds / static_cast<double>(taken) * static_cast<double>(sites) / seconds_together
      << " times as long a site, or more: alone, probes end at the first one where the standard error looks small "
         "enough, which is early by luck\n";
}
