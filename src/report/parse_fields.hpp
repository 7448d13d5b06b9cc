#pragma once

#include <climits>

#include <initializer_list>
#include <string>

#include "core/json_field.hpp"

/// Kinds of fields that run.json has more than once.
namespace halftone::internal {

/// One of `choices`, as `to_string` spells them.
template <class Choice>
Choice read_choice(const JsonField& field, std::initializer_list<Choice> choices) {
  std::string names;
  for (const Choice choice : choices) {
    if (field.text() == to_string(choice)) return choice;
    names += message(names.empty() ? "" : ", ", to_string(choice));
  }
  field.fail("one of these is needed: " + names);
}

inline int read_count(const JsonField& field, std::int64_t least = 0) {
  return static_cast<int>(field.integer(least, INT_MAX));
}

inline std::string text_if_any(const JsonField& object, const char* key) {
  const auto field = object.find(key);
  return field ? field->text_or_empty() : "";
}

}  // namespace halftone::internal
