#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>

#include "halftone/data/dataset.hpp"

namespace halftone {

/// Reads NumPy's .npy file, versions 1 to 3: bool, signed integers, uint8 and floats of 16, 32 and 64 bits, of either
/// byte order, in C or Fortran order. The tensor is contiguous and owns its memory. Throws `NotFound`, `Io` and, naming
/// the file, `BadFile` for a header that does not say exactly this or does not fit the file's size, and `Unsupported`
/// for other types.
/// Source: numpy.lib.format, format specification.
at::Tensor read_npy(const std::filesystem::path& path);

/// "INPUT.npy,INPUT2.npy,target=TARGET.npy": the model's inputs in its order, and the target where labelled; each [n,
/// …]. Throws `InvalidArgument` where these are not `inputs` files.
std::unique_ptr<Dataset> open_npy(const std::string& files, std::size_t inputs);

}  // namespace halftone
