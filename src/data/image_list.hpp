#pragma once

#include <filesystem>
#include <vector>

#include "data/label_table.hpp"

namespace halftone::internal {

/// The images of a folder with their classes: those of labels.tsv where there is one (`read_label_table`), else those
/// in a folder a class, whose sorted names are classes 0, 1, … Throws `NotFound` where there is neither, and `BadFile`,
/// naming the folder, for a class without images.
std::vector<LabelledFile> list_images(const std::filesystem::path& directory);

}  // namespace halftone::internal
