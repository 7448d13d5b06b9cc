#pragma once

#include <algorithm>
#include <charconv>
#include <compare>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/core/error.hpp"

namespace halftone {

/// The formats of a site's two operands. 16 bits stand for bfloat16, fewer for integers.
struct Precision {
  int weight_bits = 16;
  int activation_bits = 16;

  auto operator<=>(const Precision&) const = default;
};

inline constexpr Precision k16{16, 16};
inline constexpr Precision k8{8, 8};
inline constexpr Precision k4{4, 4};
inline constexpr Precision kW4A8{4, 8};

/// Whether a site computes in integers: both operands are. One alone is turned into the other's format.
constexpr bool in_integers(Precision p) { return p.weight_bits < 16 && p.activation_bits < 16; }

/// "16", "8", "4" where both operands have one width, else "w4a8".
inline std::string to_string(Precision p) {
  if (p.weight_bits == p.activation_bits) return std::to_string(p.weight_bits);
  return message('w', p.weight_bits, 'a', p.activation_bits);
}

/// "8 bits", "w4a8".
inline std::string in_words(Precision p) {
  return p.weight_bits == p.activation_bits ? to_string(p) + " bits" : to_string(p);
}

inline std::ostream& operator<<(std::ostream& out, Precision p) { return out << to_string(p); }

constexpr bool is_valid_width(int bits) { return bits == 16 || (bits >= 2 && bits <= 8); }

/// Reads "16", "8", "4", "w4a8" …; widths are 2 to 8 (integers) and 16 (bfloat16).
inline Precision parse_precision(std::string_view text) {
  const auto number = [](std::string_view digits) {
    int bits = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    return error == std::errc{} && end == digits.data() + digits.size() && is_valid_width(bits) ? bits : 0;
  };
  Precision p{0, 0};
  if (text.starts_with('w') && text.find('a') != text.npos) {
    const auto a = text.find('a');
    p = {number(text.substr(1, a - 1)), number(text.substr(a + 1))};
  } else {
    p = {number(text), number(text)};
  }
  if (p.weight_bits == 0 || p.activation_bits == 0)
    throw Error(Errc::InvalidArgument,
                message("precision \"", text,
                        "\" is not known: use 16 (bfloat16), a width of 2 to 8 bits, or weight and activation "
                        "widths such as w4a8"));
  return p;
}

/// Orders precisions from highest to lowest and checks that each one lowers at least one operand of the one
/// before it and raises none, so that "one step down" has a meaning at every site.
inline std::vector<Precision> ordered_precisions(std::vector<Precision> list) {
  std::sort(list.begin(), list.end(), [](Precision a, Precision b) {
    return a.weight_bits + a.activation_bits > b.weight_bits + b.activation_bits;
  });
  if (list.size() < 2)
    throw Error(Errc::InvalidArgument, message("a search needs at least two precisions, got ", list.size(),
                                               ": give the baseline and what to lower to, e.g. 4,8,16"));
  for (std::size_t i = 1; i < list.size(); ++i) {
    const Precision above = list[i - 1];
    const Precision below = list[i];
    if (below == above) throw Error(Errc::InvalidArgument, message("precision ", below, " is listed twice"));
    if (below.weight_bits > above.weight_bits || below.activation_bits > above.activation_bits)
      throw Error(Errc::InvalidArgument,
                  message("precisions ", above, " and ", below,
                          " have no order: one lowers the weights and the other the activations; keep one of them"));
  }
  return list;
}

/// Reads a comma-separated list such as "4,8,16" and orders it from highest to lowest.
inline std::vector<Precision> parse_precisions(std::string_view text) {
  std::vector<Precision> list;
  while (true) {
    const auto comma = text.find(',');
    list.push_back(parse_precision(text.substr(0, comma)));
    if (comma == text.npos) return ordered_precisions(std::move(list));
    text.remove_prefix(comma + 1);
  }
}

}  // namespace halftone
