#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Pieces of plain-text reports.
namespace halftone::internal {

inline constexpr std::size_t kTextWidth = 100;

std::string grouped(std::int64_t number);                ///< "4,589"
std::string fixed(double number, int decimals);          ///< "99.930"
std::string significant(double number, int digits = 4);  ///< at most so many digits: "0.0123", "1.2e-07", "12,345"
/// With more digits where these would look as if `number` were on the other side of one of the `limits`.
std::string significant_beside(double number, int digits, const std::vector<double>& limits);
std::string with_unit(double latency, const std::string& unit);  ///< in microseconds below a tenth of a millisecond
std::string bytes_text(double bytes);                            ///< "2.5 KiB"
std::string duration(double seconds);                            ///< "42 s", "3 min 5 s", "2 h 10 min", rounded up
std::string percent(double share, int decimals = 2);             ///< 0.9993 -> "99.93 %"

/// How `to` compares with `from`: "-33.3 %", "+1.0 %".
std::string change(double from, double to);

/// Columns that `text` takes: one for each code point.
std::size_t columns(std::string_view text);

/// `text` in at most `width` columns: its end, which tells names apart, behind "..". Control characters, which could
/// steer a terminal, become "?".
std::string shortened(std::string text, std::size_t width);

/// Breaks `text` between words so that lines end before column `width`. The first line stands behind `indent` columns
/// of something else, the others behind as many spaces. Words that are too long stay whole.
std::string wrapped(std::string_view text, std::size_t indent = 0, std::size_t width = kTextWidth);

/// `text` as Markdown that shows it as it stands, on one line.
std::string escaped_markdown(std::string_view text);

/// "#####" for `share` of `width`; at least one mark for what is not zero.
std::string bar(double share, std::size_t width);

/// Aligned columns, two spaces apart. Where rows would be wider than kTextWidth, the last column is wrapped (if it is
/// aligned left) and the first one's texts are cut.
class TextTable {
 public:
  /// `Bar`: left, and left out of Markdown.
  enum class Align { Left, Right, Bar };
  using Row = std::vector<std::string>;

  explicit TextTable(std::vector<Align> align, std::size_t indent = 2) : align_(std::move(align)), indent_(indent) {}

  void add(Row row);
  /// The first row, with the names of the columns.
  void add_head(Row row);
  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::string markdown() const;

 private:
  [[nodiscard]] std::vector<std::size_t> widths() const;
  [[nodiscard]] std::string line(const Row& row, const std::vector<std::size_t>& widths) const;
  [[nodiscard]] std::string markdown_line(const Row& row) const;

  std::vector<Align> align_;
  std::size_t indent_;
  bool has_head_ = false;
  std::vector<Row> rows_;
};

}  // namespace halftone::internal
