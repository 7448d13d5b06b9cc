#pragma once

#include <nlohmann/json.hpp>

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace halftone::internal {

/// What JSON from outside must not be, and what then throws.
struct JsonLimits {
  int deepest = 0;                                      ///< containers around a value, and around an empty container
  std::function<void()> too_deep;                       ///< throws
  std::function<void(const std::string& key)> twice{};  ///< throws: a key twice in one object; unset: allowed
};

/// Checks the limits while the text is read. What is no JSON ends the check: the parser will refuse it.
class JsonCheck final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit JsonCheck(JsonLimits limits) : limits_(std::move(limits)) {}

  bool null() override { return check_depth(); }
  bool boolean(bool) override { return check_depth(); }
  bool number_integer(number_integer_t) override { return check_depth(); }
  bool number_unsigned(number_unsigned_t) override { return check_depth(); }
  bool number_float(number_float_t, const string_t&) override { return check_depth(); }
  bool string(string_t&) override { return check_depth(); }
  bool binary(binary_t&) override { return check_depth(); }
  bool start_object(std::size_t) override { return open(); }
  bool start_array(std::size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (limits_.twice && !keys_.back().insert(name).second) limits_.twice(name);
    return check_depth();
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception&) override { return false; }

 private:
  bool check_depth() const {
    if (std::ssize(keys_) > limits_.deepest) limits_.too_deep();
    return true;
  }
  bool open() {
    check_depth();
    keys_.emplace_back();
    return true;
  }
  bool close() {
    keys_.pop_back();
    return true;
  }

  JsonLimits limits_;
  std::vector<std::set<std::string>> keys_;  ///< of all containers around what is read; arrays have none
};

/// Throws what `limits` throws where `text` exceeds them. A pass of its own, before the text is parsed: the parser's
/// callback takes a time that grows with the square of an array's length (nlohmann_json 3.11 searches all elements
/// for discarded ones after each).
inline void check_json(std::string_view text, JsonLimits limits) {
  JsonCheck check(std::move(limits));
  nlohmann::json::sax_parse(text.begin(), text.end(), &check);
}

}  // namespace halftone::internal
