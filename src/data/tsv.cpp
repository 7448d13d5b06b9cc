#include "data/tsv.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "halftone/core/file.hpp"

namespace halftone::internal {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const auto end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == text.npos) return parts;
    text.remove_prefix(end + 1);
  }
}

}  // namespace

TsvFile::TsvFile(std::string kind, std::filesystem::path path, const std::string& row)
    : kind_(std::move(kind)), path_(std::move(path)), text_(read_text(path_)) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  std::string_view content = text_;
  if (content.starts_with(kByteOrderMark)) content.remove_prefix(kByteOrderMark.size());
  lines_ = split(content, '\n');
  if (lines_.back().empty()) lines_.pop_back();
  for (auto& line : lines_)
    if (line.ends_with('\r')) line.remove_suffix(1);
  if (lines_.empty()) refuse_line(1, message("it is empty: a header and one line ", row, " are needed"));
  header_ = split(lines_[0], '\t');
  if (lines_.size() == 1) refuse_line(2, message("it is a header alone: one line ", row, " is needed below it"));
}

std::size_t TsvFile::column(std::string_view name, std::string_view needed) const {
  const auto found = std::find(header_.begin(), header_.end(), name);
  if (found != header_.end()) return static_cast<std::size_t>(found - header_.begin());
  std::string held;
  for (const auto other : header_) {
    held += (held.empty() ? "" : ", ") + quoted(other);
    if (held.size() > 400) break;
  }
  refuse_line(1, message("there is no column \"", name, "\" among ", held.substr(0, 400), ": the header must name ",
                         needed, ", separated by tabs"));
}

std::vector<std::string_view> TsvFile::fields(std::size_t row) const {
  auto fields = split(lines_[row + 1], '\t');
  if (fields.size() != header_.size())
    refuse(row, "it has ", fields.size(), " fields separated by tabs, the header ", header_.size(),
           ": both must have equally many");
  return fields;
}

void TsvFile::refuse_line(std::size_t line, const std::string& why) const {
  throw Error(Errc::BadFile, message(kind_, ' ', path_, ", line ", line, ": ", why));
}

std::int64_t class_number(const TsvFile& file, std::size_t row, std::string_view column, std::string_view field) {
  std::int64_t label = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), label);
  if (error != std::errc{} || end != field.data() + field.size() || label < 0)
    file.refuse(row, column, ' ', quoted(field), " is no class number: an integer from 0 is needed");
  return label;
}

}  // namespace halftone::internal
