#include "halftone/latency/table.hpp"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <unistd.h>

#include "catch.hpp"
#include "failure.hpp"

using namespace halftone;
using Catch::Contains;
using nlohmann::json;

namespace {

/// A file that goes when this does.
struct TemporaryFile {
  explicit TemporaryFile(const std::string& content)
      : path(std::filesystem::temp_directory_path() / ("halftone_table_" + std::to_string(getpid()) + ".json")) {
    std::ofstream(path, std::ios::binary) << content;
  }
  ~TemporaryFile() { std::filesystem::remove(path); }
  std::filesystem::path path;
};

TableLatency table_of(const json& content) { return TableLatency::read(TemporaryFile(content.dump()).path); }

json example() {
  return json::parse(R"({"version": 1, "device": "board", "source": "timed by hand", "unit": "us", "batch": 2,
                         "overhead": 5,
                         "sites": {"a": {"16": 30, "8": 20, "w4a8": 12}, "b": {"16": 3, "8": 4}}})");
}

std::vector<Site> sites(std::initializer_list<const char*> names) {
  std::vector<Site> list;
  for (const char* name : names) list.emplace_back().name = name;
  return list;
}

}  // namespace

TEST_CASE("a latency table adds the overhead and its sites") {
  const TableLatency table = table_of(example());
  CHECK(table.estimate(sites({"a", "b"}), {{k16, k16}}) == 38);
  CHECK(table.estimate(sites({"b", "a"}), {{k8, kW4A8}}) == 21);
  CHECK(table.gain(sites({"a", "b"}), {{k16, k16}}, 1, k8) == -1);
}

TEST_CASE("a latency table costs nothing beyond its sites where no overhead is given") {
  json content = example();
  content.erase("overhead");
  CHECK(table_of(content).estimate(sites({"a"}), {{k16}}) == 30);
}

TEST_CASE("a latency table says what it is and where it comes from") {
  const TemporaryFile file(example().dump());
  const TableLatency table = TableLatency::read(file.path);
  CHECK(table.name() == "table:" + file.path.string());
  CHECK(table.unit() == "us");
  CHECK_THAT(table.origin(), Contains("board at batch 2") && Contains("timed by hand"));
}

TEST_CASE("a site or precision that a latency table lacks is named") {
  const TableLatency table = table_of(example());
  const Failure site = failure([&] { return table.estimate(sites({"c"}), Plan{{k16}}); });
  CHECK(site.code == Errc::NotFound);
  CHECK_THAT(site.text, Contains("no site \"c\""));
  const Failure precision = failure([&] { return table.estimate(sites({"b"}), Plan{{kW4A8}}); });
  CHECK(precision.code == Errc::NotFound);
  CHECK_THAT(precision.text, Contains("\"b\"") && Contains("precision w4a8"));
}

TEST_CASE("a latency table with anything wrong is refused, naming the field") {
  const std::vector<std::tuple<std::string, json, std::string>> cases{
      {"/version", 2, "table.version is 2: this program reads version 1"},
      {"/version", "1", "table.version is \"1\""},
      {"/device", 3, "table.device is 3: a text is needed"},
      {"/unit", "", "table.unit is \"\""},
      {"/batch", 0, "table.batch is 0: an integer of at least 1"},
      {"/overhead", -1, "table.overhead is -1"},
      {"/sites/a/8", 0, "table.sites.a.8 is 0: a positive number is needed"},
      {"/sites/a/8", "fast", "table.sites.a.8 is \"fast\": a number is needed"},
      {"/sites/a/12", 1, "table.sites.a: precision \"12\" is not known"},
      {"/sites/a", 1, "table.sites.a is 1: an object is needed"},
      {"/sites", json::object(), "table.sites is an object: at least one site is needed"},
      {"/Overhead", 1, "unknown key \"Overhead\""},
      {"", 7, "table is 7: an object is needed"},
  };
  for (const auto& [where, what, expected] : cases) {
    CAPTURE(where);
    json bad = example();
    bad[json::json_pointer(where)] = what;
    const Failure f = failure([&bad] { return table_of(bad); });
    CHECK(f.code == Errc::BadFile);
    CHECK_THAT(f.text, Contains("latency table ") && Contains(expected));
  }
  for (const char* key : {"version", "device", "source", "unit", "batch", "sites"}) {
    json bad = example();
    bad.erase(key);
    CHECK_THAT(failure([&bad] { return table_of(bad); }).text, Contains(std::string("has no \"") + key));
  }
}

TEST_CASE("a latency table that is not JSON, or not there, is refused") {
  for (const std::string content : {"", "{", R"({"version": 1e999})", "\xff\xfe"}) {
    const Failure f = failure([&] { return TableLatency::read(TemporaryFile(content).path); });
    CHECK(f.code == Errc::BadFile);
    CHECK_THAT(f.text, Contains("is empty") || Contains("is cut short") || Contains("is not JSON"));
  }
  CHECK(failure([] { return TableLatency::read("no_such_table.json"); }).code == Errc::NotFound);
}
