#include "halftone/plan/plan_file.hpp"

#include <limits>
#include <tuple>

#include "catch.hpp"
#include "failure.hpp"
#include "halftone/core/file.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

constexpr const char* kDigest = "0123456789abcdef0123456789abcdef";

Site make_site(std::string name, SiteKind kind, ValueId input, std::int64_t channels) {
  Site site;
  site.name = std::move(name);
  site.kind = kind;
  site.input = input;
  site.weight_shape = {channels, 3};
  return site;
}

/// Three sites; the last two read one tensor.
std::vector<Site> sites() {
  return {make_site("conv1", SiteKind::Convolution, 0, 2), make_site("layer.a", SiteKind::Linear, 1, 1),
          make_site("layer.b", SiteKind::Linear, 1, 1)};
}

SiteRanges ranges(std::vector<double> bounds, double low, double high) {
  SiteRanges site;
  for (const int bits : {4, 8}) {
    site.weight[bits].bounds = bounds;
    site.input[bits] = {.low = low * bits, .high = high * bits};
  }
  return site;
}

Calibration calibration() {
  return {.sites = {ranges({0.1, 1e-9}, -1.0 / 3, 2), ranges({7}, 0, 0.1), ranges({8}, 0, 0.1)}};
}

const Plan kPlan{{k8, kW4A8, k16}};

PlanFile example() { return make_plan_file(sites(), kPlan, calibration(), kDigest); }

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("a plan file survives the disk bit for bit") {
  const TempDir dir;
  const auto path = dir.write("plan.json", to_text(example()));
  const PlanFile read = read_plan_file(path);
  CHECK(to_text(read) == to_text(example()));
  const AppliedPlan applied = apply_plan_file(read, sites(), kDigest);
  CHECK(applied.plan == kPlan);
  CHECK(applied.calibration == calibration());
}

TEST_CASE("plan files have one line a site and the shortest digits that read back the same") {
  CHECK(to_text(make_plan_file(std::vector{make_site("a\"b", SiteKind::Linear, 0, 1)}, Plan{{k8}},
                               Calibration{{ranges({0.1}, -1.0 / 3, 1e30)}}, "d")) ==
        "{\"version\": 1, \"model_digest\": \"d\", \"sites\": [\n"
        "  {\"name\": \"a\\\"b\", \"kind\": \"linear\", \"precision\": \"8\", \"weight_range\": {\"4\": [0.1], \"8\": "
        "[0.1]}, "
        "\"input_range\": {\"4\": [-1.3333333333333333, 4e+30], \"8\": [-2.6666666666666665, 8e+30]}}\n"
        "]}\n");
}

TEST_CASE("a plan without ranges, as of a run that was stopped early, can be written") {
  const PlanFile file = make_plan_file(sites(), Plan::uniform(3, k16), {}, kDigest);
  CHECK(apply_plan_file(file, sites(), kDigest).plan == Plan::uniform(3, k16));
}

TEST_CASE("plan files are made of parts that fit") {
  CHECK(failure([] { make_plan_file(sites(), Plan::uniform(2, k8), calibration(), kDigest); }).code ==
        Errc::InvalidArgument);
  CHECK(failure([] { make_plan_file(sites(), kPlan, {{SiteRanges{}}}, kDigest); }).code == Errc::InvalidArgument);
  PlanFile file = example();
  file.sites[1].ranges.weight[8].bounds[0] = std::numeric_limits<double>::infinity();
  const Failure f = failure([&] { return to_text(file); });
  CHECK(f.code == Errc::NonFinite);
  CHECK_THAT(f.text, Contains("layer.a"));
}

TEST_CASE("sites may be listed in any order") {
  PlanFile file = example();
  std::swap(file.sites[0], file.sites[2]);
  CHECK(apply_plan_file(file, sites(), kDigest).plan == kPlan);
}

TEST_CASE("a precision may be edited to any that has ranges") {
  const TempDir dir;
  const auto edited = [&](const char* precision) {
    const auto text = replaced(to_text(example()), "\"precision\": \"8\"", message("\"precision\": ", precision));
    return read_plan_file(dir.write("plan.json", text));
  };
  CHECK(apply_plan_file(edited("\"4\""), sites(), kDigest).plan[0] == k4);
  CHECK(apply_plan_file(edited("\"16\""), sites(), kDigest).plan[0] == k16);
  CHECK(apply_plan_file(edited("\"w8a16\""), sites(), kDigest).plan[0] == Precision{8, 16});

  const Failure f = failure([&] { apply_plan_file(edited("\"6\""), sites(), kDigest); });
  CHECK(f.code == Errc::BadFile);
  CHECK_THAT(f.text,
             Contains("\"conv1\" is at precision 6") && Contains("weight_range has no 6-bit entry (it has: 4, 8)"));
  CHECK_THAT(f.text, Contains((dir / "plan.json").string()) && Contains("--calibrate DATA"));
  CHECK(apply_precisions(edited("\"6\""), sites(), kDigest)[0] == Precision{6, 6});
  CHECK_THAT(failure([&] { edited("8"); }).text,
             Contains("site \"conv1\".precision is 8: write it in quotes, as \"16\", \"8\", \"4\""));
  CHECK_THAT(failure([&] { edited("\"int8\""); }).text, Contains("\"int8\" is not known"));
}

TEST_CASE("a plan file with anything wrong is refused, naming file, site and field") {
  const std::string good = to_text(example());
  const std::vector<std::tuple<std::string, std::string, std::string>> cases{
      {"\"version\": 1", "\"version\": 2", "version is 2: this program reads version 1"},
      {"\"version\": 1", "\"version\": 2, \"new\": 0", "version is 2: this program reads version 1"},
      {"\"version\": 1", "\"version\": \"1\"", "version is \"1\": an integer"},
      {"\"version\": 1, ", "", "has no \"version\""},
      {"\"model_digest\"", "\"digest\"", "has no \"model_digest\""},
      {"\"version\": 1", "\"version\": 1, \"note\": \"\"", "has an unknown key \"note\""},
      {"\"version\": 1", "\"version\": 1, \"version\": 1", "key \"version\" is given twice"},
      {"\"name\": \"conv1\"", "\"name\": \"conv1\", \"name\": \"x\"", "key \"name\" is given twice"},
      {"\"name\": \"conv1\", ", "", "sites[0] has no \"name\""},
      {"\"name\": \"conv1\"", "\"name\": 1", "sites[0].name is 1: a text is needed"},
      {"\"kind\": \"conv\"", "\"kind\": \"conv2d\"",
       "site \"conv1\".kind is \"conv2d\": use \"conv\", \"linear\" or \"add\""},
      {"\"kind\": \"conv\"", "\"king\": \"conv\"", "site \"conv1\" has no \"kind\""},
      {"\"kind\": \"conv\"", "\"kind\": \"conv\", \"bits\": 8", "site \"conv1\" has an unknown key \"bits\""},
      {"[0.1, 1e-09]", "[-0.1, 1]", "site \"conv1\".weight_range.4[0] is -0.1: a number of at least 0"},
      {"[0.1, 1e-09]", "[0.1, 1e999]", "not JSON: it holds a number that is out of range"},
      {"[0.1, 1e-09]", "[0.1, NaN]", "not JSON at line 2, column 83: mend it there"},
      {"[0.1, 1e-09]", "[0.1, null]", "site \"conv1\".weight_range.4[1] is null: a number"},
      {"[0.1, 1e-09]", "[]", "site \"conv1\".weight_range.4 is an array: one bound"},
      {"[0.1, 1e-09]", "{}", "site \"conv1\".weight_range.4 is an object: an array"},
      {"\"8\": [0.1", "\"16\": [0.1", "weight_range.16: a range belongs to a width of 2 to 8"},
      {"[0, 0.4]", "[0, 0.4, 1]", "site \"layer.a\".input_range.4 is an array: [low, high]"},
      {"[0, 0.4]", "[0.1, 0.4]", "site \"layer.a\".input_range.4 is an array: [low, high] with low <= 0 <= high"},
      {"[0, 0.4]", "[0, -0.4]", "this holds 0 and -0.4"},
      {good, "", "is empty: was it written to its end?"},
      {good, " \n", "is empty"},
      {good, good.substr(0, good.size() / 2), "is cut short: it ends at line 3, column "},
      {good, R"({"version": 1, "status": "met", "options": {}, "evaluations": []})",
       "is what a run found out (run.json): give the plan.json beside it"},
      {good, "[1]", "is an array: an object is needed"},
      {good, "{\"version\": 1, \"model_digest\": \"d\", \"sites\": []}", "sites is an array: an array of at least one"},
      {good, "{\"version\": 1, \"model_digest\": \"d\", \"sites\": [5]}", "sites[0] is 5: an object"},
      {good, std::string(100000, '['), "nested too deep"},
      {good, "{\"version\": " + std::string(100000, '9') + "}", "not JSON: it holds a number"},
      {"\"conv1\"", "\"" + std::string(100000, 'x') + "\", \"y\": 0", "xxx…\" has an unknown key \"y\""},
      {"\"conv1\"", "\"\xff\"", "not JSON at line 2, column 13"},
  };
  const TempDir dir;
  for (const auto& [from, to, expected] : cases) {
    CAPTURE(expected);
    const auto path = dir.write("bad.json", replaced(good, from, to));
    const Failure f = failure([&] { read_plan_file(path); });
    CHECK(f.code == Errc::BadFile);
    CHECK_THAT(f.text, Contains(expected));
    CHECK_THAT(f.text, Contains("bad.json"));
    CHECK(f.text.size() < 600);
  }
}

TEST_CASE("every truncation of a plan file is refused") {
  const TempDir dir;
  const std::string good = to_text(example());
  for (std::size_t size = 0; size + 1 < good.size(); ++size) {
    const auto path = dir.write("cut.json", good.substr(0, size));
    CHECK(failure([&] { read_plan_file(path); }).code == Errc::BadFile);
  }
}

TEST_CASE("a plan without its ranges must still be one of the model") {
  PlanFile file = example();
  for (auto& site : file.sites) site.ranges = {};
  CHECK(apply_precisions(file, sites(), kDigest) == kPlan);
  file.sites[0].kind = "linear";
  CHECK_THAT(failure([&] { (void)apply_precisions(file, sites(), kDigest); }).text,
             Contains("plan file: site \"conv1\" is of kind linear, in the model it is conv"));
  CHECK_THAT(failure([&] { (void)apply_precisions(file, sites(), "other"); }).text, Contains("another network"));
}

TEST_CASE("a plan file that does not exist is not found") {
  const TempDir dir;
  const Failure f = failure([&] { read_plan_file(dir / "none.json"); });
  CHECK(f.code == Errc::NotFound);
  CHECK_THAT(f.text, Contains("none.json"));
}

TEST_CASE("a plan is applied to the model it was made for, or not at all") {
  const auto refused = [](const std::function<void(PlanFile&)>& spoil) {
    PlanFile file = example();
    spoil(file);
    file.path = "out/plan.json";
    const Failure f = failure([&] { apply_plan_file(file, sites(), kDigest); });
    CHECK(f.code == Errc::BadFile);
    CHECK_THAT(f.text, Catch::StartsWith("plan \"out/plan.json\": "));
    return f.text;
  };
  CHECK_THAT(refused([](PlanFile& f) { f.model_digest = "other"; }),
             Contains("another network (digest other, this model has 0123"));
  CHECK_THAT(refused([](PlanFile& f) { f.sites.pop_back(); }), Contains("site \"layer.b\" of the model is missing"));
  CHECK_THAT(refused([](PlanFile& f) { f.sites[1].name = "layer.c"; }),
             Contains("site \"layer.c\" is not in the model"));
  CHECK_THAT(refused([](PlanFile& f) { f.sites[2] = f.sites[1]; }), Contains("site \"layer.a\" is listed twice"));
  CHECK_THAT(refused([](PlanFile& f) { f.sites[0].kind = "linear"; }),
             Contains("is of kind linear, in the model it is conv"));
  CHECK_THAT(refused([](PlanFile& f) { f.sites[1].ranges.weight.erase(4); }),
             Contains("site \"layer.a\" is at precision w4a8, but its weight_range has no 4-bit entry (it has: 8)"));
  CHECK_THAT(refused([](PlanFile& f) { f.sites[1].ranges.input.clear(); }),
             Contains("its input_range has no 8-bit entry (it has: none)"));
  CHECK_THAT(refused([](PlanFile& f) { f.sites[0].ranges.weight[4].bounds.push_back(1); }),
             Contains("site \"conv1\": weight_range at 4 bits has 3 bounds, the weight has 2 output channels"));
  CHECK_THAT(refused([](PlanFile& f) { f.sites[2].ranges.input[8].high = 1; }),
             Contains("sites \"layer.a\" and \"layer.b\" read one tensor"));
}
