#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "halftone/core/dtype.hpp"
#include "halftone/graph/capture.hpp"

namespace halftone {

/// One dimension of a program's input.
struct ProgramDimension {
  std::int64_t size = 0;  ///< of the example that the program was exported with
  std::string symbol;     ///< empty where the size is fixed; dimensions with equal symbols must be equal in every call
  /// Limits of a dimension that is not fixed. torch.export writes 2 where it only assumes that sizes 0 and 1 get no
  /// special treatment; like PyTorch, `run` takes every size then, and `least` is 0.
  std::int64_t least = 0;
  std::int64_t most = std::numeric_limits<std::int64_t>::max();

  [[nodiscard]] bool is_dynamic() const { return !symbol.empty(); }
};

/// One tensor that a program takes.
struct ProgramInput {
  std::string name;
  DType dtype = DType::Float32;
  std::vector<ProgramDimension> sizes;
};

struct LoadOptions {
  /// Compare all weights with their checksums: one pass over the file. Where false, weights are read when they are
  /// used.
  bool verify_weights = true;
  /// Operator namespaces that may appear. Archives come from strangers: add only what may run with any arguments.
  std::vector<std::string> namespaces{"aten"};
};

/// A network exported from Python by `torch.export.save`, run in C++ without Python, with gradients.
///
///     const auto program = halftone::ExportedProgram::load("model.pt2");
///     std::vector<at::Tensor> outputs = program.run({{image}});
///
/// Weights lie in the mapped file and are copied only where they are written to, so that processes share them. The
/// operators are those of the export, called through LibTorch's dispatcher: results and gradients are PyTorch's own.
/// Source: torch/_export/serde/schema.py and torch/export/pt2_archive of PyTorch 2.13, schema version 8.
class ExportedProgram {
 public:
  /// Throws `NotFound`; `BadFile` for what is malformed; `Unsupported`, naming operator and node, for what cannot run
  /// here: operators outside `options.namespaces` and higher-order ones (control flow), pickled tensors, programs that
  /// change their buffers (exported in training mode), other schema versions.
  static ExportedProgram load(const std::filesystem::path& path, const LoadOptions& options = {});
  ~ExportedProgram();
  ExportedProgram(ExportedProgram&&) noexcept;
  ExportedProgram& operator=(ExportedProgram&&) noexcept;

  /// The tensors that `run` takes: positional arguments, then keywords, nested ones in order. Arguments that were plain
  /// values at export are fixed to them and not among these.
  [[nodiscard]] const std::vector<ProgramInput>& inputs() const;
  /// Names of what `run` returns: the tensors of the program's results, nested ones in order. Plain values and sizes
  /// are not among these.
  [[nodiscard]] const std::vector<std::string>& outputs() const;
  /// Parameters, buffers and constants by name, as in the module's state dict. They are what `run` reads: set
  /// `requires_grad`, read `grad`, write to them. Those of one memory and shape (tied weights) are one tensor.
  [[nodiscard]] const std::vector<NamedTensor>& named_tensors() const;

  /// One pass, with gradients where they are on and a parameter or input requires them. Throws `InvalidArgument`,
  /// naming the input, where one has another type, shape or device, and naming the node where an operator fails.
  /// May be called in parallel while no tensor is written to.
  [[nodiscard]] std::vector<at::Tensor> run(std::span<const at::Tensor> inputs) const;
  [[nodiscard]] std::vector<at::Tensor> run(std::initializer_list<at::Tensor> inputs) const {
    return run(std::span(inputs.begin(), inputs.size()));
  }

  /// Replaces all tensors by copies on `device`; whatever device the program was exported on, `run` then works on this
  /// one. New: the CPU.
  void to(at::Device device);

 private:
  struct Impl;
  explicit ExportedProgram(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Inputs that fit `program`, at the sizes it was exported with: normal floats, integers from 0 to 5, true. The same
/// for the same seed.
std::vector<at::Tensor> example_inputs(const ExportedProgram& program, std::uint64_t seed = 1);

/// Captures a program on `example_inputs`; inputs keep their names unless `options` has others. The batch is dynamic
/// where `options` say so and the first dimension of every input is one symbol that nothing else depends on and that
/// may be 1 to 5. Where `options` name no `length_dimension`, it is the first dimension, behind the batch, that is such
/// a symbol in all inputs that have it, 3 or more at export and free to be half as long; 0 there: none. Throws as
/// `capture`. The graph's tensors share memory with the program's.
Model capture_pt2(const ExportedProgram& program, const CaptureOptions& options = {});
Model capture_pt2(const std::filesystem::path& path, const CaptureOptions& options = {});

}  // namespace halftone
