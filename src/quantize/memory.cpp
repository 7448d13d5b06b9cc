#include "quantize/memory.hpp"

namespace halftone::internal {

Memory::Memory(const std::filesystem::path& path) {
  if (!path.empty()) journal_.emplace(path);
}

void Memory::keep(const std::string& what, const Digest& fingerprint, const nlohmann::json& result) {
  if (journal_) journal_->append(what + ' ' + fingerprint.hex(), result.dump());
}

}  // namespace halftone::internal
