#include "halftone/evaluate/gate.hpp"

#include <charconv>
#include <optional>
#include <string>

#include "halftone/core/error.hpp"

namespace halftone {
namespace {

std::optional<double> read_number(const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(number)) return std::nullopt;
  return number;
}

}  // namespace

double parse_keep(std::string_view text) {
  const bool percent = text.ends_with('%');
  // Scaling the digits, not the number, makes "99.9%" exactly "0.999".
  const auto keep = read_number(percent ? std::string(text.substr(0, text.size() - 1)) + "e-2" : std::string(text));
  const auto complain = [text](const std::string& why) -> Error {
    return {Errc::InvalidArgument, message("keep \"", text, "\" ", why)};
  };
  if (!keep) throw complain("is not a number: give the share of the baseline's score to keep, e.g. 99.9% or 0.999");
  if (*keep <= 0) throw complain("keeps nothing: it must be above 0 %");
  if (*keep > 1 && !percent && *keep <= 100)
    throw complain(message("is more than the whole score: did you mean \"", text, "%\"?"));
  if (*keep > 1) throw complain("is more than the whole score: it must be at most 100 %");
  return *keep;
}

}  // namespace halftone
