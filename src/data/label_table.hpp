#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace halftone::internal {

struct LabelledFile {
  std::filesystem::path path;
  std::int64_t label = 0;
};

/// Reads `directory`/labels.tsv: tab-separated lines under a header, of whose columns `filename` (relative to
/// `directory`) and `index` (a class number) are used. Throws `BadFile`, naming the line and what it holds, for missing
/// columns or fields, class numbers that are none or negative, names that lead out of `directory`, twice the same name,
/// and files that do not exist.
std::vector<LabelledFile> read_label_table(const std::filesystem::path& directory);

}  // namespace halftone::internal
