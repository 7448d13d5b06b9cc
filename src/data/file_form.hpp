#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace halftone::internal {

enum class FileForm : std::uint8_t {
  Safetensors,
  Zip,     ///< `torch.save` since PyTorch 1.6, TorchScript, `torch.export`
  Pickle,  ///< `torch.save` before
  Tar,     ///< `torch.save` before PyTorch 0.1.10
  Unknown,
};

/// What a file of weights is by its first bytes.
FileForm form_of(std::span<const std::byte> file);

}  // namespace halftone::internal
