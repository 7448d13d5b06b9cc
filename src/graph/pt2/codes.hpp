#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "core/json_field.hpp"
#include "halftone/core/dtype.hpp"

// How .pt2 archives write values. Source: torch/_export/serde/schema.py, schema version 8.

namespace halftone::internal::pt2 {

/// A union: an object with one member, whose name says what it holds.
struct Tagged {
  std::string tag;
  JsonField value;
};

inline Tagged tagged(const JsonField& field) {
  std::optional<Tagged> found;
  field.each_member([&](const std::string& tag, const JsonField& value) {
    if (found) field.fail("an object with one member is needed");
    found = Tagged{tag, value};
  });
  if (!found) field.fail("an object with one member is needed");
  return *found;
}

/// The element type of a number in a file, which is not LibTorch's number.
inline DType dtype_of(const JsonField& field) {
  static constexpr std::array<std::pair<std::int64_t, DType>, 10> kCodes{{{1, DType::UInt8},
                                                                          {2, DType::Int8},
                                                                          {3, DType::Int16},
                                                                          {4, DType::Int32},
                                                                          {5, DType::Int64},
                                                                          {6, DType::Float16},
                                                                          {7, DType::Float32},
                                                                          {8, DType::Float64},
                                                                          {12, DType::Bool},
                                                                          {13, DType::BFloat16}}};
  const std::int64_t number = field.integer(0);
  for (const auto& [code, dtype] : kCodes)
    if (code == number) return dtype;
  throw Error(Errc::Unsupported,
              message(field.place(), " is ", number,
                      ", an element type that Halftone does not know (complex, unsigned of 16 bits or more, float8): "
                      "convert the network to another before the export"));
}

/// Any integer.
inline std::int64_t integer_of(const JsonField& field) { return field.integer(INT64_MIN); }

/// A number, or one of the texts that stand for what JSON cannot write.
inline double real_of(const JsonField& field) {
  if (!field.is_text()) return field.number();
  const std::string text = field.text();
  if (text == "Infinity") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  field.fail("a number, \"Infinity\", \"-Infinity\" or \"NaN\" is needed");
}

}  // namespace halftone::internal::pt2
