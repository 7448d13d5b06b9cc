#include "quantize/memory.hpp"

#include <nlohmann/json.hpp>

namespace halftone::internal {

Memory::Memory(const std::filesystem::path& path) {
  if (!path.empty()) journal_.emplace(path);
}

std::optional<nlohmann::json> Memory::find(const std::string& what, const Digest& fingerprint) {
  if (!journal_) return std::nullopt;
  const auto bytes = journal_->find(what + ' ' + fingerprint.hex());
  if (!bytes) return std::nullopt;
  auto read = nlohmann::json::parse(*bytes, nullptr, /*allow_exceptions=*/false);
  if (read.is_discarded()) return std::nullopt;
  return read;
}

void Memory::keep(const std::string& what, const Digest& fingerprint, const nlohmann::json& result) {
  if (journal_) journal_->append(what + ' ' + fingerprint.hex(), result.dump());
}

}  // namespace halftone::internal
