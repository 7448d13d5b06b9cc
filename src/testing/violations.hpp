#pragma once

#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "halftone/core/error.hpp"

namespace halftone::internal {

/// What a check found, one sentence each.
class Violations {
 public:
  /// `who` stands before every sentence.
  explicit Violations(std::string who) : who_(std::move(who)) {}

  template <class... Parts>
  void add(const Parts&... parts) {
    list_.push_back(message(who_, ": ", parts...));
  }

  /// Runs one part of a check. What it throws is a violation; whether it threw nothing.
  template <class Check>
  bool guard(const char* doing, const Check& check) {
    try {
      check();
      return true;
    } catch (const std::exception& error) {
      add(doing, " throws: ", error.what());
    } catch (...) {
      add(doing, " throws what is no std::exception");
    }
    return false;
  }

  [[nodiscard]] const std::vector<std::string>& list() const { return list_; }

 private:
  std::string who_;
  std::vector<std::string> list_;
};

}  // namespace halftone::internal
