#pragma once

#include <nlohmann/json.hpp>

#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "halftone/core/digest.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/journal.hpp"
#include "halftone/distributed/team.hpp"

namespace halftone::internal {

/// Results of stages by what they depend on, for a run that goes on where an earlier one was cut short. Without a
/// journal it knows nothing and keeps nothing.
class Memory {
 public:
  /// None where `path` is empty. Throws as `Journal`. In a team the file is rank 0's, and the others begin with what it
  /// holds and keep what is added in memory, so that all find the same.
  explicit Memory(const std::filesystem::path& path, Team* team = nullptr);

  /// Where stages put their own records; may be null.
  [[nodiscard]] Journal* journal() { return journal_.get(); }

  /// What `read` makes of the JSON that was kept under `what` and `fingerprint`; nothing where there is none, or `read`
  /// cannot make anything of it.
  template <class Read>
  [[nodiscard]] auto find(const std::string& what, const Digest& fingerprint, const Read& read)
      -> std::optional<decltype(read(nlohmann::json()))> {
    try {
      const std::string key = what + ' ' + fingerprint.hex();
      if (const auto bytes = find_bytes(key)) {
        auto result = read(nlohmann::json::parse(*bytes));
        found_ += kept_.contains(key) ? 0 : 1;
        return result;
      }
    } catch (const nlohmann::json::exception&) {
    } catch (const Error&) {
    }
    return std::nullopt;
  }
  void keep(const std::string& what, const Digest& fingerprint, const nlohmann::json& result);

  /// Results of earlier runs that were found.
  [[nodiscard]] int found() const { return found_; }

 private:
  [[nodiscard]] std::optional<std::string> find_bytes(const std::string& key) const {
    return journal_ ? journal_->find(key) : std::nullopt;
  }

  std::unique_ptr<Journal> journal_;
  std::set<std::string> kept_;  ///< keys of this run's own results
  int found_ = 0;
};

}  // namespace halftone::internal
