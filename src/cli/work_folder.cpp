#include "cli/work_folder.hpp"

#include <system_error>
#include <utility>

#include "halftone/core/error.hpp"
#include "halftone/core/file.hpp"
#include "halftone/core/journal.hpp"

namespace halftone::cli {

namespace fs = std::filesystem;

WorkFolder::WorkFolder(fs::path folder, bool fresh) : folder_(fs::absolute(folder).lexically_normal()) {
  if (!folder_.has_filename()) folder_ = folder_.parent_path();
  std::error_code ignored;
  for (fs::path path = folder_; !fs::exists(path, ignored) && path != path.parent_path(); path = path.parent_path())
    ++made_;
  require_writable(folder_);
  if (fresh && fs::exists(journal())) Journal(journal()).remove();
}

bool WorkFolder::holds_work() const {
  std::error_code ignored;
  try {
    return fs::exists(journal(), ignored) && Journal(journal()).records() > 0;
  } catch (const Error&) {
    return false;  // whoever opens it in earnest is told
  }
}

WorkFolder::~WorkFolder() {
  std::error_code ignored;
  try {
    if (fs::exists(journal(), ignored))
      if (Journal kept(journal()); kept.records() == 0) kept.remove();
  } catch (const Error&) {
    // of another process, or no journal at all: not ours to take away
  }
  fs::path path = folder_;
  for (int i = 0; i < made_ && fs::remove(path, ignored); ++i) path = path.parent_path();
}

}  // namespace halftone::cli
