#include "data/label_table.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <string>
#include <string_view>

#include "core/quoted.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/file.hpp"

namespace halftone::internal {

namespace {

namespace fs = std::filesystem;

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const auto end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == text.npos) return parts;
    text.remove_prefix(end + 1);
  }
}

class Reader {
 public:
  explicit Reader(const fs::path& directory) : directory_(directory), table_(directory / "labels.tsv") {}

  std::vector<LabelledFile> read() {
    const std::string text = read_text(table_);
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    std::string_view content = text;
    if (content.starts_with(kByteOrderMark)) content.remove_prefix(kByteOrderMark.size());
    auto lines = split(content, '\n');
    if (lines.back().empty()) lines.pop_back();
    for (auto& line : lines)
      if (line.ends_with('\r')) line.remove_suffix(1);
    if (lines.empty()) refuse("it is empty: a header and one line an image are needed");
    header_ = split(lines[0], '\t');
    filename_ = column("filename");
    index_ = column("index");
    std::vector<LabelledFile> files;
    for (line_ = 2; line_ <= lines.size(); ++line_) files.push_back(parse(split(lines[line_ - 1], '\t')));
    if (files.empty()) refuse("it lists no images: one line an image is needed below the header");
    return files;
  }

 private:
  template <class... Why>
  [[noreturn]] void refuse(const Why&... why) const {
    throw Error(Errc::BadFile, message("image labels ", table_, ", line ", line_, ": ", why...));
  }

  std::size_t column(std::string_view name) const {
    const auto found = std::find(header_.begin(), header_.end(), name);
    if (found != header_.end()) return static_cast<std::size_t>(found - header_.begin());
    std::string held;
    for (const auto other : header_) held += (held.empty() ? "" : ", ") + quoted(other);
    refuse("there is no column \"", name, "\" among ", held.substr(0, 400),
           ": the header must name \"filename\" and \"index\", separated by tabs");
  }

  LabelledFile parse(const std::vector<std::string_view>& fields) {
    if (fields.size() != header_.size())
      refuse("it has ", fields.size(), " fields separated by tabs, the header ", header_.size(),
             ": both must have equally many");
    return {path_of(fields[filename_]), label_of(fields[index_])};
  }

  fs::path path_of(std::string_view name) {
    const fs::path relative(name);
    const bool climbs = std::find(relative.begin(), relative.end(), "..") != relative.end();
    if (name.empty() || relative.is_absolute() || climbs || name.find('\0') != name.npos)
      refuse("filename ", quoted(name), " is not allowed: a path below ", directory_, " without \"..\" is needed");
    const auto [earlier, is_new] = seen_.emplace(relative.lexically_normal(), line_);
    if (!is_new) refuse("filename ", quoted(name), " stands on line ", earlier->second, " already");
    fs::path path = directory_ / relative;
    std::error_code failure;
    if (!fs::is_regular_file(path, failure)) refuse("there is no file ", quoted(name), " in ", directory_);
    return path;
  }

  std::int64_t label_of(std::string_view text) const {
    std::int64_t label = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), label);
    if (error != std::errc{} || end != text.data() + text.size() || label < 0)
      refuse("index ", quoted(text), " is no class number: an integer from 0 is needed");
    return label;
  }

  fs::path directory_;
  fs::path table_;
  std::vector<std::string_view> header_;
  std::size_t filename_ = 0;
  std::size_t index_ = 0;
  std::size_t line_ = 1;
  std::map<fs::path, std::size_t> seen_;  ///< line by name
};

}  // namespace

std::vector<LabelledFile> read_label_table(const fs::path& directory) { return Reader(directory).read(); }

}  // namespace halftone::internal
