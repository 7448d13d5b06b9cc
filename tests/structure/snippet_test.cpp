#include <fstream>
#include <iterator>
#include <sstream>

#include "catch.hpp"

namespace {

std::string read(const std::string& path) {
  std::ifstream file(HALFTONE_SOURCE_DIR "/" + path);
  REQUIRE(file);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// What stands between the two markers of an example, indented two columns less where all of it is indented.
std::string marked_part(const std::string& path) {
  const std::string text = read(path);
  const std::string marker = "// [readme]\n";
  const auto begin = text.find(marker) + marker.size();
  const std::string marked = text.substr(begin, text.rfind('\n', text.find(marker, begin)) + 1 - begin);
  if (!marked.starts_with("  ")) return marked;  // at the top level of the file
  std::istringstream lines(marked);
  std::string part;
  for (std::string line; std::getline(lines, line);) part += (line.starts_with("  ") ? line.substr(2) : line) + '\n';
  return part;
}

}  // namespace

TEST_CASE("README and guide quote their examples as they are") {
  const std::string tag = "<!-- snippet: ";
  int snippets = 0;
  for (const char* page : {"README.md", "docs/guide/library.md", "docs/guide/own_metric.md"}) {
    const std::string text = read(page);
    for (auto at = text.find(tag); at != std::string::npos; at = text.find(tag, at + 1)) {
      const auto path = text.substr(at + tag.size(), text.find(' ', at + tag.size()) - at - tag.size());
      CAPTURE(page, path);
      const auto begin = text.find("```cpp\n", at) + 7;
      CHECK(text.substr(begin, text.find("```", begin) - begin) == marked_part(path));
      ++snippets;
    }
  }
  CHECK(snippets == 9);
}
