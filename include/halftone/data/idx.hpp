#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <string>

#include "halftone/data/dataset.hpp"

namespace halftone {

/// Reads an IDX file of unsigned bytes with 1 to 8 dimensions, plain or compressed by gzip, as MNIST and Fashion-MNIST
/// come: uint8, contiguous. Compressed files may not claim more than gzip can hold in their size, and nothing beyond
/// what the header claims is unpacked. Throws `NotFound`, `Io` and, naming the file, `BadFile` for one that is damaged,
/// cut short or longer than its header says, and `Unsupported` for other types.
/// Source: LeCun et al., The MNIST database of handwritten digits, "The IDX file format"; RFC 1952 (gzip).
at::Tensor read_idx(const std::filesystem::path& path);

/// "IMAGES,target=LABELS": grey images [n, rows, columns], which become [n, 1, rows, columns], normalised batch by
/// batch, and, where labelled, class numbers [n]. The normalisation has one channel, or several that are alike. Throws
/// `InvalidArgument` where `files` are not these, and `BadFile` where the files do not go together.
std::unique_ptr<Dataset> open_idx(const std::string& files, const ImageNormalization& normalization);

}  // namespace halftone
