#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>
#include <vector>

namespace halftone {

/// One tensor of a state dict, on the CPU and without gradients.
struct StateTensor {
  std::string name;
  at::Tensor tensor;
};

/// Reads a dictionary of tensors that `torch.save` wrote, in its order: as a zip archive, or in the form of PyTorch
/// before 1.6. Nothing in the file is run: its pickle stream is read as data, and a global outside a short list (dense
/// tensors, plain containers, NumPy's numbers) is an error that names it.
///
/// Where a checkpoint holds more than weights ({"state_dict": …, "epoch": …}), the only dictionary of tensors is taken,
/// or the one called `dictionary`, such as "ema" or "ema/model"; values in it that are no tensors are left out.
/// Tensors keep their strides, and those that share a storage share memory. "module." and "_orig_mod." go from the
/// beginning of names where all names have them.
///
/// Throws `NotFound` (no such file, or dictionary), `BadFile` (malformed), or `Unsupported` (other globals, sparse or
/// quantized tensors, big-endian numbers, TorchScript, archives of `torch.export`). Sizes are checked against the file
/// before memory is taken. Cost: one copy of the storages that the dictionary needs; content of a zip archive is
/// checked against its checksums.
std::vector<StateTensor> read_state_dict(const std::filesystem::path& path, const std::string& dictionary = {});

}  // namespace halftone
