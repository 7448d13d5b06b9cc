#pragma once

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json_check.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/precision.hpp"

namespace halftone::internal {

/// Texts from outside are cut before they go into a message.
inline std::string shortened(const std::string& text, std::size_t most = 80) {
  return text.size() > most ? text.substr(0, most) + "…" : text;
}

/// "line 3, column 7" of `text`, for the byte that a parser stopped at, counted from 1.
inline std::string place_in(const std::string& text, std::size_t byte) {
  const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(byte > 0 ? byte - 1 : 0, text.size()));
  const auto line = std::find(std::make_reverse_iterator(end), text.rend(), '\n').base();
  return message("line ", std::count(text.begin(), end, '\n') + 1, ", column ", end - line + 1);
}

/// Parses JSON from outside, called `place` in messages: bounded depth (no format of ours needs more than 4 levels),
/// and a key given twice is refused, not silently dropped.
inline nlohmann::json parse_json(const std::string& text, const std::string& place, int deepest = 8) {
  if (text.find_first_not_of(" \t\r\n") == std::string::npos)
    throw Error(Errc::BadFile, message(place, " is empty: was it written to its end?"));
  JsonLimits limits;
  limits.deepest = deepest;
  limits.too_deep = [&] { throw Error(Errc::BadFile, place + ": nested too deep"); };
  limits.twice = [&](const std::string& key) {
    const std::string shown = shortened(nlohmann::json(key).dump());
    throw Error(Errc::BadFile, message(place, ": key ", shown, " is given twice in one object"));
  };
  check_json(text, std::move(limits));
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    if (error.byte > text.size())
      throw Error(Errc::BadFile, message(place, " is cut short: it ends at ", place_in(text, error.byte),
                                         ", in the middle of its JSON; write it again"));
    throw Error(Errc::BadFile, message(place, " is not JSON at ", place_in(text, error.byte),
                                       ": mend it there, or write the file again"));
  } catch (const nlohmann::json::exception&) {  // a number beyond all limits: it has no place
    throw Error(Errc::BadFile, message(place, " is not JSON: it holds a number that is out of range"));
  }
}

/// A JSON value from outside together with the place where it stands, so that whatever is wrong with it is reported
/// as one `BadFile` naming field, value seen and what is allowed. Borrows the value.
class JsonField {
 public:
  JsonField(const nlohmann::json& value, std::string place) : value_(&value), place_(std::move(place)) {}

  [[nodiscard]] const std::string& place() const { return place_; }

  [[noreturn]] void fail(std::string_view rule) const {
    throw Error(Errc::BadFile, message(place_, " is ", seen(), ": ", rule));
  }

  /// Requires an object that has all of `required` and nothing but those and `optional`.
  void expect_keys(std::initializer_list<const char*> required,
                   std::initializer_list<const char*> optional = {}) const {
    expect_object();
    for (const char* key : required)
      if (!value_->contains(key)) throw Error(Errc::BadFile, message(place_, " has no \"", key, '"'));
    for (const auto& [key, unused] : value_->items()) {
      const auto same = [&key = key](const char* known) { return key == known; };
      if (std::none_of(required.begin(), required.end(), same) && std::none_of(optional.begin(), optional.end(), same))
        throw Error(Errc::BadFile, message(place_, " has an unknown key \"", shortened(key), '"'));
    }
  }

  [[nodiscard]] bool has(const char* key) const { return value_->contains(key); }
  [[nodiscard]] bool is_null() const { return value_->is_null(); }
  /// The member `key` of an object that must have it.
  [[nodiscard]] JsonField need(const std::string& key) const {
    expect_object();
    if (!value_->contains(key)) throw Error(Errc::BadFile, message(place_, " has no \"", shortened(key), '"'));
    return {value_->at(key), message(place_, '.', shortened(key))};
  }
  /// The same where it may be missing or null.
  [[nodiscard]] std::optional<JsonField> find(const std::string& key) const {
    expect_object();
    if (!value_->contains(key) || value_->at(key).is_null()) return std::nullopt;
    return need(key);
  }
  /// Only for a key that is known to be there.
  [[nodiscard]] JsonField operator[](const std::string& key) const {
    return {value_->at(key), message(place_, '.', key)};
  }

  [[nodiscard]] double number() const {
    if (!value_->is_number()) fail("a number is needed");
    const double number = value_->get<double>();
    if (!std::isfinite(number)) fail("a finite number is needed");
    return number;
  }

  [[nodiscard]] double number_not_negative() const {
    const double value = number();
    if (value < 0) fail("a number of at least 0 is needed");
    return value;
  }

  [[nodiscard]] double positive_number(double most = std::numeric_limits<double>::max()) const {
    const double value = number();
    if (value <= 0) fail("a positive number is needed");
    if (value > most) fail(message("a number of at most ", most, " is needed"));
    return value;
  }

  [[nodiscard]] std::int64_t integer(std::int64_t least, std::int64_t most = INT64_MAX) const {
    const bool fits =
        value_->is_number_integer() && !(value_->is_number_unsigned() && value_->get<std::uint64_t>() > INT64_MAX);
    if (!fits || value_->get<std::int64_t>() < least) fail(message("an integer of at least ", least, " is needed"));
    if (value_->get<std::int64_t>() > most) fail(message("an integer of at most ", most, " is needed"));
    return value_->get<std::int64_t>();
  }

  [[nodiscard]] Precision precision() const {
    try {
      constexpr std::size_t kLongest = 6;
      const std::string written = text();
      if (written.size() <= kLongest) return parse_precision(written);
    } catch (const Error& error) {
      if (error.code() == Errc::InvalidArgument) throw Error(Errc::BadFile, message(place_, ": ", error.what()));
    }
    fail("write it in quotes, as \"16\", \"8\", \"4\" or, for weight and activation, \"w4a8\"");
  }

  /// An array of different precisions.
  [[nodiscard]] std::vector<Precision> precisions() const {
    std::vector<Precision> list;
    each_element([&](const JsonField& entry) {
      const Precision precision = entry.precision();
      if (std::find(list.begin(), list.end(), precision) != list.end()) entry.fail("it is listed twice");
      list.push_back(precision);
    });
    return list;
  }

  [[nodiscard]] std::uint64_t unsigned_integer() const {
    if (!value_->is_number_unsigned()) fail("an integer of at least 0 is needed");
    return value_->get<std::uint64_t>();
  }

  [[nodiscard]] bool truth() const {
    if (!value_->is_boolean()) fail("true or false is needed");
    return value_->get<bool>();
  }

  [[nodiscard]] bool is_text() const { return value_->is_string(); }
  [[nodiscard]] std::string text() const {
    if (!value_->is_string() || value_->get_ref<const std::string&>().empty()) fail("a text is needed");
    return value_->get<std::string>();
  }
  [[nodiscard]] std::string text_or_empty() const {
    if (!value_->is_string()) fail("a text is needed");
    return value_->get<std::string>();
  }

  /// Calls `visit(field)` for every element of an array.
  template <class Visit>
  void each_element(const Visit& visit) const {
    if (!value_->is_array()) fail("an array is needed");
    std::size_t index = 0;
    for (const auto& element : *value_) visit(JsonField(element, message(place_, '[', index++, ']')));
  }

  /// Calls `visit(key, field)` for every member of an object, in the order of the keys.
  template <class Visit>
  void each_member(const Visit& visit) const {
    expect_object();
    for (const auto& [key, member] : value_->items())
      visit(key, JsonField(member, message(place_, '.', shortened(key))));
  }

  /// Calls `visit(bits, field)` for every member of an object whose keys are integer widths.
  template <class Visit>
  void each_width(const Visit& visit) const {
    each_member([&](const std::string& key, const JsonField& member) {
      for (int bits = 2; bits <= 8; ++bits)
        if (key == std::to_string(bits)) return visit(bits, member);
      throw Error(Errc::BadFile, message(member.place(), ": a range belongs to a width of 2 to 8 bits"));
    });
  }

  /// Calls `visit(precision, field)` for every member of an object whose keys are precisions, as `to_string` spells
  /// them: two spellings of one precision must not hide each other.
  template <class Visit>
  void each_precision(const Visit& visit) const {
    each_member([&](const std::string& key, const JsonField& member) {
      Precision precision;
      try {
        precision = parse_precision(key);
      } catch (const Error& error) {
        throw Error(Errc::BadFile, message(place_, ": ", error.what()));
      }
      if (to_string(precision) != key)
        throw Error(Errc::BadFile, message(place_, ": write precision \"", key, "\" as \"", precision, '"'));
      visit(precision, member);
    });
  }

 private:
  void expect_object() const {
    if (!value_->is_object()) fail("an object is needed");
  }

  /// Containers by kind only: writing one out could recurse without bound.
  [[nodiscard]] std::string seen() const {
    if (value_->is_object()) return "an object";
    if (value_->is_array()) return "an array";
    return shortened(value_->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), 60);
  }

  const nlohmann::json* value_;
  std::string place_;
};

}  // namespace halftone::internal
