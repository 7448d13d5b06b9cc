#pragma once

#include <filesystem>

namespace halftone::internal {

/// Names of files made or renamed in `directory` are on disk when this returns. Throws `std::system_error`; folders
/// that may not be read, and file systems that cannot flush them, are left alone.
void flush_directory(const std::filesystem::path& directory);

}  // namespace halftone::internal
