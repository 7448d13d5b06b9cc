#include "data/label_table.hpp"

#include <algorithm>
#include <map>
#include <string_view>

#include "data/tsv.hpp"

namespace halftone::internal {

namespace {

namespace fs = std::filesystem;

class Reader {
 public:
  explicit Reader(const fs::path& directory)
      : directory_(directory), table_("image labels", directory / "labels.tsv", "an image") {}

  std::vector<LabelledFile> read() {
    constexpr std::string_view kNeeded = "\"filename\" and \"index\"";
    const std::size_t filename = table_.column("filename", kNeeded);
    const std::size_t index = table_.column("index", kNeeded);
    std::vector<LabelledFile> files;
    for (std::size_t row = 0; row < table_.rows(); ++row) {
      const auto fields = table_.fields(row);
      files.push_back({path_of(row, fields[filename]), class_number(table_, row, "index", fields[index])});
    }
    return files;
  }

 private:
  fs::path path_of(std::size_t row, std::string_view name) {
    const fs::path relative(name);
    const bool climbs = std::find(relative.begin(), relative.end(), "..") != relative.end();
    if (name.empty() || relative.is_absolute() || climbs || name.find('\0') != name.npos)
      table_.refuse(row, "filename ", internal::quoted(name), " is not allowed: a path below ", directory_,
                    " without \"..\" is needed");
    const auto [earlier, is_new] = seen_.emplace(relative.lexically_normal(), TsvFile::line(row));
    if (!is_new)
      table_.refuse(row, "filename ", internal::quoted(name), " stands on line ", earlier->second, " already");
    fs::path path = directory_ / relative;
    std::error_code failure;
    if (!fs::is_regular_file(path, failure))
      table_.refuse(row, "there is no file ", internal::quoted(name), " in ", directory_);
    return path;
  }

  fs::path directory_;
  TsvFile table_;
  std::map<fs::path, std::size_t> seen_;  ///< line by name
};

}  // namespace

std::vector<LabelledFile> read_label_table(const fs::path& directory) { return Reader(directory).read(); }

}  // namespace halftone::internal
