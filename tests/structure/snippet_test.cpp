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

/// What stands between the two markers of an example, indented two columns less.
std::string marked_part(const std::string& path) {
  const std::string text = read(path);
  const std::string marker = "  // [readme]\n";
  const auto begin = text.find(marker) + marker.size();
  std::istringstream lines(text.substr(begin, text.find(marker, begin) - begin));
  std::string part;
  for (std::string line; std::getline(lines, line);) part += (line.starts_with("  ") ? line.substr(2) : line) + '\n';
  return part;
}

}  // namespace

TEST_CASE("the README quotes its examples as they are") {
  const std::string readme = read("README.md");
  const std::string tag = "<!-- snippet: ";
  int snippets = 0;
  for (auto at = readme.find(tag); at != std::string::npos; at = readme.find(tag, at + 1)) {
    const auto path = readme.substr(at + tag.size(), readme.find(' ', at + tag.size()) - at - tag.size());
    const auto begin = readme.find("```cpp\n", at) + 7;
    CHECK(readme.substr(begin, readme.find("```", begin) - begin) == marked_part(path));
    ++snippets;
  }
  CHECK(snippets == 3);
}
