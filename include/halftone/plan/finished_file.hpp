#pragma once

#include <filesystem>

#include "halftone/graph/model.hpp"

namespace halftone {

/// Writes the tensors in which `finished` differs from `model`, by their names in the prepared graph (weights and
/// biases of sites, batch norm folded in), as safetensors, with the digests of both networks. Throws `InvalidArgument`
/// where nothing but values of tensors may differ and more does, or where a name is there twice; `Io`.
void write_finished_file(const std::filesystem::path& path, const Model& model, const Model& finished);

/// `model` with the tensors of such a file in place of its own. Throws `NotFound`, or `BadFile` naming the file, and
/// the tensor, where it was made for another network, a tensor is not one of the model's, is of another shape or type
/// or is not finite, or the whole is not the network that was written.
Model apply_finished_file(const std::filesystem::path& path, const Model& model);

}  // namespace halftone
