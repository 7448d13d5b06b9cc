// A network that Python exported runs here without Python: outputs, gradients, and a plan for it.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <iostream>

#include "halftone/graph/passes.hpp"
#include "halftone/graph/pt2.hpp"

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: example_080_exported_program FILE.pt2\n";
    return 2;
  }
  // [readme]
  // Python: torch.export.save(torch.export.export(module.eval(), (example,)), "module.pt2")
  const auto program = halftone::ExportedProgram::load(argv[1]);
  for (const auto& input : program.inputs())
    std::cout << "takes " << input.name << ", " << input.sizes.size() << "-D\n";
  const std::vector<at::Tensor> inputs = halftone::example_inputs(program);
  const std::vector<at::Tensor> outputs = program.run(inputs);

  outputs[0].sum().backward();  // fine-tune it: parameters have gradients
  for (const auto& parameter : program.named_tensors())
    if (parameter.tensor.grad().defined())
      std::cout << parameter.name << ' ' << parameter.tensor.grad().norm().item<double>() << '\n';

  const halftone::Model model = halftone::prepare(halftone::capture_pt2(program));  // for halftone::quantize
  // [readme]
  std::cout << model.sites.size() << " sites can be quantized\n";
  return model.sites.empty() ? 1 : 0;
}
