#pragma once

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <optional>
#include <string>

#include "halftone/core/digest.hpp"
#include "halftone/core/journal.hpp"

namespace halftone::internal {

/// Results of stages by what they depend on, for a run that goes on where an earlier one was cut short. Without a
/// journal it knows nothing and keeps nothing.
class Memory {
 public:
  /// None where `path` is empty. Throws as `Journal`.
  explicit Memory(const std::filesystem::path& path);

  /// Where stages put their own records; may be null.
  [[nodiscard]] Journal* journal() { return journal_ ? &*journal_ : nullptr; }

  /// What was kept under `what` and `fingerprint`; nothing where there is none, or it is no JSON.
  [[nodiscard]] std::optional<nlohmann::json> find(const std::string& what, const Digest& fingerprint);
  void keep(const std::string& what, const Digest& fingerprint, const nlohmann::json& result);

  /// Results that were found.
  [[nodiscard]] int found() const { return found_; }
  void count_found() { ++found_; }

 private:
  std::optional<Journal> journal_;
  int found_ = 0;
};

}  // namespace halftone::internal
