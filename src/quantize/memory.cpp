#include "quantize/memory.hpp"

#include <utility>

namespace halftone::internal {

Memory::Memory(const std::filesystem::path& path, Team* team) {
  if (path.empty()) return;
  if (team == nullptr || team->is_first()) {
    const auto open = [&] {
      journal_ = std::make_unique<Journal>(path);
      return journal_->bytes();
    };
    team == nullptr ? open() : team->share_first("opening the journal", open);
  } else {
    journal_ = Journal::in_memory(team->share_first("opening the journal", {}));
  }
}

void Memory::keep(const std::string& what, const Digest& fingerprint, const nlohmann::json& result) {
  if (!journal_) return;
  std::string key = what + ' ' + fingerprint.hex();
  journal_->append(key, result.dump());
  kept_.insert(std::move(key));
}

}  // namespace halftone::internal
