// The rules of the source tree, read from the files themselves.
#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "catch.hpp"

namespace {

namespace fs = std::filesystem;

/// Folders, and files beside them, from the first stage to the last. Those of one row do not know each other.
const std::vector<std::vector<std::string>> kStages{
    {"version"},     {"core"},
    {"distributed"}, {"data", "graph"},
    {"models"},      {"quant"},
    {"calibrate"},   {"evaluate"},
    {"adjust"},      {"export"},
    {"engine"},      {"sensitivity"},
    {"latency"},     {"order"},
    {"search"},      {"testing"},
    {"plan"},        {"report"},
    {"scaling"},     {"spatial"},
    {"train"},       {"quantize", "registry"},
    {"cli"},
};

/// Slow to compile, or tied to one version of a library: sources may include them, public headers may not.
constexpr std::array<std::string_view, 5> kNotInPublicHeaders{"torch/torch.h", "torch/script.h", "ATen/ATen.h",
                                                              "nlohmann/json.hpp", "fmt/"};

/// Row of `stage` in kStages; kStages.size() where it is not there.
std::size_t row(const std::string& stage) {
  const auto holds = [&](const auto& names) { return std::find(names.begin(), names.end(), stage) != names.end(); };
  return static_cast<std::size_t>(std::find_if(kStages.begin(), kStages.end(), holds) - kStages.begin());
}

/// "graph" for graph/site.hpp, "quantize" for quantize.hpp.
std::string stage_of(const fs::path& file) { return file.begin()->stem().string(); }

struct SourceFile {
  fs::path root;  ///< "include/halftone" or "src"
  fs::path file;  ///< below root
  std::string text;

  [[nodiscard]] std::string name() const { return (root / file).generic_string(); }
  [[nodiscard]] bool is_public() const { return root != "src"; }
};

struct Include {
  std::string path;
  bool quoted = false;
};

std::vector<Include> includes(const std::string& text) {
  static const std::regex pattern(R"re((?:^|\n)[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+))re");
  std::vector<Include> found;
  for (auto match = std::sregex_iterator(text.begin(), text.end(), pattern); match != std::sregex_iterator(); ++match)
    found.push_back({(*match)[2], (*match)[1] == "\""});
  return found;
}

/// What keeps `include` out of `source`; empty where it may stay.
std::string order_violation(const SourceFile& source, const Include& include) {
  fs::path target = include.path;
  if (include.path.starts_with("halftone/")) {
    target = target.lexically_relative("halftone");
  } else if (!include.quoted) {
    return {};  // a library
  } else if (!target.has_parent_path()) {
    return {};  // beside the file that includes it
  }
  const std::string from = stage_of(source.file);
  const std::string to = stage_of(target);
  for (const auto& stage : {from, to})
    if (row(stage) == kStages.size())
      return "\"" + stage + "\" has no place in the order of the stages: give it one in include_order_test.cpp";
  if (from == to || row(to) < row(from)) return {};
  return "\"" + from + "\" may include only itself and stages before it, and \"" + to + "\" is not";
}

std::vector<std::string> violations(const SourceFile& source) {
  std::vector<std::string> found;
  const auto add = [&](const std::string& what) { found.push_back(source.name() + ": " + what); };
  for (const auto& include : includes(source.text)) {
    const auto order = order_violation(source, include);
    if (!order.empty()) add("includes " + include.path + ": " + order);
    if (!source.is_public()) continue;
    for (const auto banned : kNotInPublicHeaders)
      if (include.path.starts_with(banned)) add("includes " + include.path + ": not in a public header");
  }
  if (source.file.extension() == ".hpp" && source.text.find("#pragma once\n") == std::string::npos)
    add("has no #pragma once");
  return found;
}

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<SourceFile> source_files() {
  std::vector<SourceFile> files;
  for (const fs::path root : {"include/halftone", "src"}) {
    const fs::path top = fs::path(HALFTONE_SOURCE_DIR) / root;
    for (const auto& entry : fs::recursive_directory_iterator(top))
      if (entry.path().extension() == ".hpp" || entry.path().extension() == ".cpp")
        files.push_back({root, entry.path().lexically_relative(top), read(entry.path())});
  }
  return files;
}

}  // namespace

TEST_CASE("files include only their own stage and earlier ones, and public headers nothing slow") {
  const auto files = source_files();
  REQUIRE(files.size() > 50);
  for (const auto& file : files)
    for (const auto& violation : violations(file)) FAIL_CHECK(violation);
}

TEST_CASE("an include of a later stage is reported with file and include") {
  const auto found =
      violations({"src", "graph/passes.cpp", "#include <vector>\n  #  include \"halftone/search/search.hpp\"\n"});
  REQUIRE(found.size() == 1);
  CHECK(found[0] ==
        "src/graph/passes.cpp: includes halftone/search/search.hpp: \"graph\" may include only itself and stages "
        "before it, and \"search\" is not");
}

TEST_CASE("stages of one row may not include each other") {
  CHECK(violations({"src", "graph/x.cpp", "#include \"data/y.hpp\"\n"}).size() == 1);
  CHECK(violations({"src", "data/x.cpp", "#include <halftone/graph/y.hpp>\n"}).size() == 1);
}

TEST_CASE("own stage, earlier stages, neighbours and libraries may be included") {
  CHECK(violations({"src", "quantize.cpp",
                    "#include <ATen/ATen.h>\n#include \"halftone/quantize.hpp\"\n#include \"graph/recorder.hpp\"\n"
                    "#include \"halftone/version.hpp\"\n#include \"near.hpp\"\n"})
            .empty());
}

TEST_CASE("a folder that has no place in the order is reported") {
  const auto found = violations({"src", "helpers/x.cpp", "#include \"halftone/core/error.hpp\"\n"});
  REQUIRE(found.size() == 1);
  CHECK(found[0].find("\"helpers\" has no place") != std::string::npos);
}

TEST_CASE("public headers without guard or with slow includes are reported") {
  const auto found =
      violations({"include/halftone", "core/x.hpp", "#include <torch/torch.h>\n#include <fmt/core.h>\n"});
  REQUIRE(found.size() == 3);
  CHECK(found[0] == "include/halftone/core/x.hpp: includes torch/torch.h: not in a public header");
  CHECK(found[2] == "include/halftone/core/x.hpp: has no #pragma once");
  CHECK(violations({"include/halftone", "core/x.hpp", "#pragma once\n#include <nlohmann/json_fwd.hpp>\n"}).empty());
}
