#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/quoted.hpp"
#include "halftone/core/error.hpp"

namespace halftone::internal {

/// A text file of fields between tabs under a header line. Nothing is quoted or escaped in it. Lines may end in
/// carriage returns, and a byte order mark is passed over.
class TsvFile {
 public:
  /// For messages: `kind` stands before the path ("image labels"), and a line is `row` ("an image"). Throws `NotFound`,
  /// `Io`, and `BadFile` where there is no line below a header.
  TsvFile(std::string kind, std::filesystem::path path, const std::string& row);

  /// Where `name` stands in the header; `needed` says which columns there must be. Throws `BadFile` where it does not.
  [[nodiscard]] std::size_t column(std::string_view name, std::string_view needed) const;
  [[nodiscard]] std::size_t rows() const { return lines_.size() - 1; }
  /// Fields of a row, as many as the header has; throws `BadFile` where it has others.
  [[nodiscard]] std::vector<std::string_view> fields(std::size_t row) const;

  /// Throws `BadFile`, naming the file and the line of `row`.
  template <class... Why>
  [[noreturn]] void refuse(std::size_t row, const Why&... why) const {
    refuse_line(line(row), message(why...));
  }
  /// The line of a row in the file, from 1.
  static std::size_t line(std::size_t row) { return row + 2; }

 private:
  [[noreturn]] void refuse_line(std::size_t line, const std::string& why) const;

  std::string kind_;
  std::filesystem::path path_;
  std::string text_;
  std::vector<std::string_view> lines_;
  std::vector<std::string_view> header_;
};

/// The class number that a field holds; throws as `TsvFile::refuse` does where it holds none.
std::int64_t class_number(const TsvFile& file, std::size_t row, std::string_view column, std::string_view field);

}  // namespace halftone::internal
