#include "quantize/memory.hpp"

#include <utility>

namespace halftone::internal {

Memory::Memory(const std::filesystem::path& path) {
  if (!path.empty()) journal_.emplace(path);
}

void Memory::keep(const std::string& what, const Digest& fingerprint, const nlohmann::json& result) {
  if (!journal_) return;
  std::string key = what + ' ' + fingerprint.hex();
  journal_->append(key, result.dump());
  kept_.insert(std::move(key));
}

}  // namespace halftone::internal
