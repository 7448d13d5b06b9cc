#include "data/image_list.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <system_error>

#include "data/tsv.hpp"
#include "halftone/core/error.hpp"

namespace halftone::internal {
namespace {

namespace fs = std::filesystem;

/// Names in `directory`, without hidden ones, that `wanted` is true of, in the order of their bytes.
std::vector<std::string> names(const fs::path& directory, bool (*wanted)(const fs::directory_entry& entry)) {
  std::vector<std::string> names;
  std::error_code failure;
  for (fs::directory_iterator at(directory, failure); !failure && at != fs::directory_iterator();
       at.increment(failure)) {
    std::string name = at->path().filename().string();
    if (!name.starts_with('.') && wanted(*at)) names.push_back(std::move(name));
  }
  if (failure && failure != std::errc::no_such_file_or_directory)
    throw Error(Errc::Io, message("folder ", directory, " cannot be listed: ", failure.message()));
  std::sort(names.begin(), names.end());
  return names;
}

bool is_folder(const fs::directory_entry& entry) {
  std::error_code failure;
  return entry.is_directory(failure);
}

bool is_image(const fs::directory_entry& entry) {
  constexpr std::array<std::string_view, 3> kEndings{".jpg", ".jpeg", ".png"};
  std::string ending = entry.path().extension().string();
  for (char& c : ending)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  std::error_code failure;
  return std::find(kEndings.begin(), kEndings.end(), ending) != kEndings.end() && entry.is_regular_file(failure);
}

}  // namespace

std::vector<LabelledFile> list_images(const fs::path& directory) {
  std::error_code failure;
  if (fs::exists(directory / "labels.tsv", failure)) return read_label_table(directory);
  const std::vector<std::string> classes = names(directory, is_folder);
  if (classes.empty())
    throw Error(Errc::NotFound,
                message("image folder ", directory, " has neither labels.tsv (columns \"filename\" and ",
                        "\"index\") nor a folder a class"));
  std::vector<LabelledFile> files;
  for (std::size_t label = 0; label < classes.size(); ++label) {
    const fs::path folder = directory / classes[label];
    const std::vector<std::string> images = names(folder, is_image);
    if (images.empty())
      throw Error(Errc::BadFile,
                  message("image folder ", directory, ": class folder ", internal::quoted(classes[label]),
                          " holds no .jpg, .jpeg or .png file: every folder there is a class"));
    for (const std::string& name : images) files.push_back({folder / name, static_cast<std::int64_t>(label)});
  }
  return files;
}

}  // namespace halftone::internal
