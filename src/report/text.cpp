#include "report/text.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "halftone/core/error.hpp"

namespace halftone::internal {

std::string grouped(std::int64_t number) {
  std::string text = std::to_string(number);
  const std::ptrdiff_t first = number < 0 ? 1 : 0;
  for (auto at = std::ssize(text) - 3; at > first; at -= 3) text.insert(text.begin() + at, ',');
  return text;
}

/// Moved off the ties between two roundings, which C and JavaScript round differently: the page's code does the same.
static double untied(double number) { return number * (1 + 1e-12); }

std::string fixed(double number, int decimals) {
  char text[400];
  return {text, static_cast<std::size_t>(std::snprintf(text, sizeof text, "%.*f", decimals, untied(number)))};
}

std::string significant(double number, int digits) {
  constexpr double kMostGrouped = 1e9;
  const double size = std::abs(number);
  if (size >= std::pow(10, digits) && size < kMostGrouped) return grouped(std::llround(untied(number)));
  char text[64];
  return {text, static_cast<std::size_t>(std::snprintf(text, sizeof text, "%.*g", digits, untied(number)))};
}

std::string significant_beside(double number, int digits, const std::vector<double>& limits) {
  constexpr int kMostDigits = 15;
  const auto looks_right = [&](const std::string& text, double limit) {
    return (std::strtod(text.c_str(), nullptr) > limit) == (number > limit);
  };
  for (std::string text = significant(number, digits);; text = significant(number, ++digits))
    if (digits >= kMostDigits ||
        std::all_of(limits.begin(), limits.end(), [&](double limit) { return looks_right(text, limit); }))
      return text;
}

std::string with_unit(double latency, const std::string& unit) {
  return unit == "ms" && latency < 0.1 ? significant(latency * 1000) + " us" : significant(latency) + ' ' + unit;
}

std::string bytes_text(double bytes) {
  constexpr double kKiB = 1024;
  return bytes < 10 * kKiB * kKiB ? fixed(bytes / kKiB, 1) + " KiB" : fixed(bytes / kKiB / kKiB, 1) + " MiB";
}

std::string duration(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::ceil(seconds));
  if (whole < 60) return message(whole, " s");
  if (whole < 3600) return message(whole / 60, " min ", whole % 60, " s");
  return message(whole / 3600, " h ", whole % 3600 / 60, " min");
}

std::string percent(double share, int decimals) { return fixed(100 * share, decimals) + " %"; }

std::string change(double from, double to) {
  constexpr double kShown = 5e-4;  // below it there are only zeros
  const double share = to / from - 1;
  return message(share >= kShown ? "+" : "", percent(std::abs(share) < kShown ? 0 : share, 1));
}

std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string shortened(std::string text, std::size_t width) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  if (columns(text) <= width) return text;
  std::size_t cut = text.size();
  for (std::size_t kept = 2; kept < width && cut > 0;)
    if (columns(std::string_view(text).substr(--cut, 1)) == 1) ++kept;
  return message("..", std::string_view(text).substr(cut));
}

/// A percent sign stays with its number.
static std::size_t end_of_word(std::string_view text) {
  auto end = text.find(' ');
  while (end != text.npos && text.substr(end + 1).starts_with('%')) end = text.find(' ', end + 1);
  return end;
}

std::string wrapped(std::string_view text, std::size_t indent, std::size_t width) {
  std::string lines;
  std::size_t used = indent;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, end_of_word(text));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    if (used > indent && used + 1 + columns(word) > width) {
      lines += '\n' + std::string(indent, ' ');
      used = indent;
    } else if (used > indent) {
      lines += ' ';
      ++used;
    }
    lines += word;
    used += columns(word);
  }
  return lines;
}

std::string escaped_markdown(std::string_view text) {
  constexpr std::string_view kSpecial = "\\`*_[]<>|~&";
  std::string escaped;
  for (const char c : text) {
    if (kSpecial.find(c) != kSpecial.npos) escaped += '\\';
    const bool is_control = static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    escaped += is_control ? ' ' : c;
  }
  return escaped;
}

std::string bar(double share, std::size_t width) {
  if (!(share > 0)) return {};
  const double marks = std::round(std::min(share, 1.0) * static_cast<double>(width));
  return std::string(std::max<std::size_t>(1, static_cast<std::size_t>(marks)), '#');
}

void TextTable::add(Row row) {
  row.resize(align_.size());
  rows_.push_back(std::move(row));
}

void TextTable::add_head(Row row) {
  has_head_ = true;
  add(std::move(row));
}

std::string TextTable::markdown() const {
  std::string marks;
  for (const Align align : align_)
    if (align != Align::Bar) marks += align == Align::Right ? "| ---: " : "| --- ";
  std::string text = has_head_ ? "" : markdown_line(Row(align_.size())) + marks + "|\n";
  for (std::size_t i = 0; i < rows_.size(); ++i)
    text += markdown_line(rows_[i]) + (has_head_ && i == 0 ? marks + "|\n" : "");
  return text;
}

std::string TextTable::markdown_line(const Row& row) const {
  std::string line;
  for (std::size_t i = 0; i < row.size(); ++i)
    if (align_[i] != Align::Bar) line += "| " + escaped_markdown(row[i]) + (row[i].empty() ? "" : " ");
  return line + "|\n";
}

std::string TextTable::text() const {
  const auto fitted = widths();
  std::string text;
  for (const Row& row : rows_) text += line(row, fitted) + '\n';
  return text;
}

std::vector<std::size_t> TextTable::widths() const {
  std::vector<std::size_t> widths(align_.size());
  for (const Row& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns(row[i]));
  const auto shrink = [&](std::size_t& width, std::size_t least) {
    std::size_t total = indent_ + 2 * (widths.size() - 1);
    for (const std::size_t each : widths) total += each;
    if (width > least && total > kTextWidth) width -= std::min(width - least, total - kTextWidth);
  };
  if (align_.back() == Align::Left) shrink(widths.back(), 30);
  shrink(widths.front(), 12);
  return widths;
}

std::string TextTable::line(const Row& row, const std::vector<std::size_t>& widths) const {
  std::string text(indent_, ' ');
  std::size_t start = indent_;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const bool wraps = i > 0 && i + 1 == row.size() && align_[i] == Align::Left;
    const std::string cell = wraps ? wrapped(row[i], start, start + widths[i]) : shortened(row[i], widths[i]);
    const std::string padding(widths[i] - std::min(widths[i], columns(cell)), ' ');
    text += (align_[i] == Align::Right ? padding + cell : cell + padding) + "  ";
    start += widths[i] + 2;
  }
  while (text.ends_with(' ')) text.pop_back();
  return text;
}

}  // namespace halftone::internal
