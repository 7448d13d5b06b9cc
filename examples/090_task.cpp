// A task of one's own, in the command line: my_halftone quantize … --task reciprocal_rank
#include <ATen/ATen.h>

#include <iostream>

#include "halftone/cli/run.hpp"

int main(int argc, char** argv) {
  // [readme]
  halftone::Registry registry = halftone::default_registry();
  // 1 where the right class has the largest logit, 1/2 where one has a larger one, and so on.
  const auto score = [](const std::vector<at::Tensor>& outputs, const at::Tensor& targets) {
    const at::Tensor right = outputs[0].gather(1, targets.unsqueeze(1));
    return outputs[0].gt(right).sum(1).add(1).reciprocal();  // [samples]
  };
  registry.tasks["reciprocal_rank"] = [score] {
    return halftone::make_task("reciprocal_rank", {.score = score, .score_range = halftone::ScoreRange{0, 1}});
  };
  return halftone::cli::run(registry, {argv + 1, argv + argc}, std::cout, std::cerr);
  // [readme]
}
