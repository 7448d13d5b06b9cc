#include "halftone/sensitivity/sensitivity_file.hpp"

#include <nlohmann/json.hpp>

#include <tuple>

#include "failure.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;
using nlohmann::json;

namespace {

SensitivityFile example() {
  SensitivityFile file{.model = "net:w.safetensors",
                       .model_digest = "abc",
                       .sites = {"conv", "fc"},
                       .precisions = {k8, k4},
                       .task = "top1",
                       .calibration = {"c.bin", "cd", 10},
                       .data = {"d.bin", "dd", 20},
                       .range_input = "mse",
                       .range_weight = "max",
                       .seed = 7,
                       .batch_size = 16};
  file.tables.push_back({.metric = "plain", .scores = {{{k8, 0.1}, {k4, 1.0 / 3}}, {{k8, 0}, {k4, 2}}}});
  file.tables.push_back({.metric = "pairs", .scores = file.tables[0].scores});
  file.tables[1].pairs = PairMatrix(2, {k8, k4}, std::vector<double>(16, 0.5), 2);
  file.tables[1].clamped = {{.site = 1, .precision = k8, .given = -3}};
  return file;
}

std::vector<Site> sites(std::vector<std::string> names) {
  std::vector<Site> list;
  for (auto& name : names) list.emplace_back().name = name;
  return list;
}

}  // namespace

TEST_CASE("sensitivities come back from their file as they were") {
  const TempDir dir;
  const json written = example();
  const auto path = dir.write("s.json", written.dump());
  const SensitivityFile read = read_sensitivity_file(path);
  CHECK(json(read) == written);
  CHECK(read.sites == example().sites);
  CHECK(read.data == example().data);
  CHECK(read.seed == 7);
  CHECK(read.tables[0].scores == example().tables[0].scores);
  CHECK(read.tables[1].pairs->values() == example().tables[1].pairs->values());
}

TEST_CASE("a sensitivity file with anything wrong is refused, naming the place") {
  const TempDir dir;
  const std::vector<std::tuple<const char*, json, const char*>> cases{
      {"/version", 2, "s.json.version is 2"},
      {"/seed", -1, "s.json.seed is -1"},
      {"/sites/0", 3, "s.json.sites[0] is 3"},
      {"/sites", {"conv"}, "the table of metric \"plain\": it has 2 sites of 1"},
      {"/precisions", {"8", "6"}, "metric \"plain\": it has no score of site 0 at precision 6"},
      {"/calibration/samples", 0, "s.json.calibration.samples is 0"},
      {"/precisions/1", "8", "s.json.precisions[1] is \"8\": it is listed twice"},
      {"/tables", json::array(), "s.json.tables is an array: an array of at least one table"},
      {"/tables/1/metric", "plain", "the table of metric \"plain\" is there twice"},
      {"/tables/1/standard_errors", {{{"8", 1}, {"4", 1}}}, "standard errors of 1 sites and scores of 2"},
      {"/tables/1/standard_errors", {{{"8", 1}, {"4", 1}}, {{"8", 1}}}, "no standard error of site 1 at precision 4"},
      {"/tables/1/standard_errors", {{{"8", 1}, {"4", 1}}, {{"8", 1}, {"4", -1}}}, "of site 1 at precision 4 is -1"},
      {"/tables", "none", "s.json.tables is \"none\""},
      {"/tables/1/metric", 1, "s.json: tables[1]: sensitivity.metric is 1"},
      {"/tables/1/pairs/scale", "x", "s.json: tables[1]: "},
      {"/more", 1, "unknown key \"more\""},
  };
  for (const auto& [where, value, expected] : cases) {
    CAPTURE(where);
    json file = example();
    file[json::json_pointer(where)] = value;
    const auto path = dir.write("s.json", file.dump());
    const Failure refused = failure([&] { (void)read_sensitivity_file(path); });
    CHECK(refused.code == Errc::BadFile);
    CHECK_THAT(refused.text, Contains(expected));
  }
  CHECK(failure([&] { (void)read_sensitivity_file(dir / "none.json"); }).code == Errc::NotFound);
}

TEST_CASE("a table with standard errors and clamped scores survives JSON") {
  SensitivityTable table = example().tables[1];
  table.standard_errors = {{{k8, 0.5}, {k4, 1}}, {{k8, 0}, {k4, 2}}};
  const auto read = json::parse(json(table).dump()).get<SensitivityTable>();
  CHECK(read.standard_errors == table.standard_errors);
  table.pairs = PairMatrix(2, {k8}, std::vector<double>(4));
  CHECK_THAT(failure([&] { (void)json(table).get<SensitivityTable>(); }).text,
             Contains("pairs at other precisions than scores: 4 is missing"));
}

TEST_CASE("a table is found by its metric, or where it is the only one") {
  SensitivityFile file = example();
  CHECK(&find_table(file, "s.json", "pairs") == &file.tables[1]);
  CHECK_THAT(failure([&] { (void)find_table(file, "s.json", "noise"); }).text,
             Contains("there are none by metric \"noise\", only by plain, pairs"));
  CHECK_THAT(failure([&] { (void)find_table(file, "s.json", ""); }).text,
             Contains("choose one with --metric: plain, pairs"));
  file.tables.pop_back();
  CHECK(&find_table(file, "s.json", "") == &file.tables[0]);
}

TEST_CASE("sensitivities of another network, other sites or precisions are refused") {
  const SensitivityFile file = example();
  const auto refused = [&](const char* digest, const std::vector<Site>& of, std::vector<Precision> precisions) {
    return failure([&] { require_fits(file, "s.json", digest, of, precisions); }).text;
  };
  CHECK_NOTHROW(require_fits(file, "s.json", "abc", sites({"conv", "fc"}), std::vector{k4}));
  CHECK_THAT(refused("xyz", sites({"conv", "fc"}), {k8}),
             Contains("s.json: they are of another network, net:w.safetensors with digest abc, not xyz"));
  CHECK_THAT(refused("abc", sites({"conv", "fc", "add"}), {k8}), Contains("2 sites, and the network has 3 (is --add"));
  CHECK_THAT(refused("abc", sites({"conv", "fd"}), {k8}), Contains("the network has 2 others"));
  CHECK_THAT(refused("abc", sites({"conv", "fc"}), {k8, kW4A8}), Contains("w4a8 is not among theirs, 8,4"));
}
