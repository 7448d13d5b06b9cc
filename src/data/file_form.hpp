#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace halftone::internal {

enum class FileForm : std::uint8_t {
  Safetensors,
  TorchSave,     ///< a zip archive, of `torch.save` since PyTorch 1.6
  TorchSaveOld,  ///< pickle streams, of `torch.save` before
  TorchSaveTar,  ///< of `torch.save` before PyTorch 0.1.10
  TorchScript,
  TorchExport,
  Unknown,
};

/// What a file of weights or a network is by its content. `name` stands in messages. Throws `BadFile` for a malformed
/// zip archive.
FileForm form_of(std::span<const std::byte> file, const std::string& name);

}  // namespace halftone::internal
