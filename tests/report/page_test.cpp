// report.html: what is in it, and that a browser draws it.
#include <nlohmann/json.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "catch.hpp"
#include "halftone/core/file.hpp"
#include "halftone/report/html_report.hpp"
#include "large_run.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;
using nlohmann::json;

namespace {

/// What stands in the script element `id`.
std::string script(const std::string& page, const std::string& id) {
  const std::string start = "<script type=\"application/json\" id=\"" + id + "\">";
  const auto begin = page.find(start);
  REQUIRE(begin != std::string::npos);
  return page.substr(begin + start.size(), page.find("</script", begin) - begin - start.size());
}

std::size_t count(const std::string& text, const std::string& word) {
  std::size_t found = 0;
  for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++found;
  return found;
}

RunResult hostile_run() {
  RunResult run = example_run();
  const std::string evil = "</script><script>document.title='broken'</script><!--<script>\"'&\xff";
  run.model = run.sites[0].name = run.validation_data.name = run.steps[0].decision = evil;
  run.notes = {evil};
  run.environment["x"] = evil;
  return run;
}

std::string output_of(const std::string& command) {
  std::string output;
  FILE* pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::array<char, 4096> part;
  for (std::size_t size = 0; (size = std::fread(part.data(), 1, part.size(), pipe)) > 0;)
    output.append(part.data(), size);
  ::pclose(pipe);
  return output;
}

/// The name of a browser's program; empty where none is installed.
std::string browser() {
  for (const char* name : {"chromium", "chromium-browser", "google-chrome"})
    if (!output_of(std::string("command -v ") + name + " 2>/dev/null").empty()) return name;
  return {};
}

/// The page's elements after its scripts ran.
std::string rendered(const TempDir& dir, const std::string& page, int width) {
  const auto file = dir.write("page.html", page);
  return output_of(
      browser() +
      " --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
      "--disable-component-update --disable-sync --user-data-dir=" +
      (dir / "profile").string() + " --window-size=" + std::to_string(width) +
      ",900 --virtual-time-budget=60000 --dump-dom file://" + file.string() + " 2>/dev/null");
}

/// What the page says of itself in `name`, a data attribute of <html>.
std::string said(const std::string& elements, const std::string& name) {
  const std::string start = "data-" + name + "=\"";
  const auto begin = elements.find(start);
  if (begin == std::string::npos) return "nothing";
  return elements.substr(begin + start.size(), elements.find('"', begin + start.size()) - begin - start.size());
}

}  // namespace

TEST_CASE("the page holds run.json as it is") {
  const RunResult run = measured_run();
  const std::string page = html_report(run);
  CHECK(json::parse(script(page, "run")) == to_run_json(run));
  CHECK(json::parse(script(page, "texts"))["headline"].size() == 4);
  CHECK_THAT(page, Contains("<title>net:weights.safetensors, met</title>"));
  CHECK(page == html_report(run));
}

TEST_CASE("the page fetches nothing") {
  const std::string page = html_report(example_run());
  CHECK_THAT(page, Contains("content=\"default-src 'none';"));
  for (const char* word : {"src=\"http", "href=\"http", "@import", "url(http", "sourceMappingURL"})
    CHECK(count(page, word) == 0);
}

TEST_CASE("names end no element of the page, whatever is in them") {
  const std::string page = html_report(hostile_run());
  CHECK(count(page, "<script") == count(html_report(example_run()), "<script"));
  CHECK(count(page, "</script") == count(html_report(example_run()), "</script"));
  CHECK(json::parse(script(page, "run"))["sites"][0]["name"].get<std::string>().starts_with("</script><script>"));
}

TEST_CASE("the headline says what was measured and what was modelled") {
  const auto figures = [](const RunResult& run) { return json::parse(script(html_report(run), "texts"))["headline"]; };
  const json modelled = figures(example_run());
  REQUIRE(modelled.size() == 4);
  CHECK(modelled[0]["label"] == "Accuracy kept");
  CHECK(modelled[0]["value"] == "99.93 %");
  CHECK(modelled[1]["basis"] == "modelled");
  CHECK(modelled[1]["value"] == "-50.0 %");
  CHECK(modelled[3]["value"] == "-58.3 %");
  const json measured = figures(measured_run());
  CHECK(measured[1]["basis"] == "measured");
  CHECK(measured[2]["label"] == "Latency against all at 8 bits");
  RunResult stopped = example_run();
  stopped.baseline.evaluation = stopped.result.evaluation = {};
  CHECK(figures(stopped).empty());
}

TEST_CASE("a browser draws the page without an error") {
  if (browser().empty()) {
    WARN("no browser is installed: report.html was not drawn");
    return;
  }
  const TempDir dir;
  RunResult stopped = example_run();
  stopped.status = RunStatus::Stopped;
  stopped.plan = Plan::uniform(3, k16);
  stopped.float_score = stopped.baseline.evaluation = stopped.result.evaluation = {};
  stopped.baseline.report.reset();
  stopped.result.report.reset();
  stopped.sensitivity = {};
  stopped.steps.clear();
  stopped.site_saving.clear();
  stopped.uniform_latency.clear();
  stopped.report_data.reset();
  RunResult plain = example_run();
  plain.sensitivity = {};
  struct Case {
    const char* name;
    RunResult run;
    int plots;
  };
  const Case cases[] = {{"20 sites", large_run(20), 3}, {"150 sites", large_run(150), 3},
                        {"modelled", example_run(), 2}, {"no sensitivities", plain, 2},
                        {"stopped", stopped, 1},        {"hostile", hostile_run(), 2}};
  for (const auto& [name, run, plots] : cases)
    for (const int width : {390, 1280}) {
      const bool is_dark = width == 390;
      std::string page = html_report(run);
      if (is_dark) page.replace(page.find("<html "), 6, "<html data-theme=\"dark\" ");
      const std::string elements = rendered(dir, page, width);
      CAPTURE(name, width, said(elements, "error"));
      CHECK(said(elements, "ready") == "yes");
      CHECK(said(elements, "errors") == "0");
      CHECK(said(elements, "plots") == std::to_string(html_report_has_plots() ? plots : 0));
      CHECK_THAT(elements, !Contains("<title>broken"));
    }
}

TEST_CASE("the page writes figures with the digits that the text report has") {
  if (browser().empty()) {
    WARN("no browser is installed: the digits of report.html were not looked at");
    return;
  }
  RunResult run = large_run(4);
  run.gate = {.kind = GateKind::Damage, .budget = 0.03};
  run.looser[0].gate = {.kind = GateKind::Damage, .budget = 0.2};
  run.result.evaluation.score = 721.0 / 800;  // half a digit more than 90.12 %
  run.steps[1].evaluation.damage = 0.0300004;
  run.steps[2].evaluation.damage = 1.23456e-7;
  run.measured->plan.samples = std::vector<double>(9, 1.005);
  const std::string text = text_report(run);
  const std::string elements = rendered(TempDir(), html_report(run), 1280);
  for (const char* figure : {"90.13 %", "0.0300004", "1.23e-07", "-49.2 %"}) {
    CAPTURE(figure);
    CHECK(count(text, figure) > 0);
    CHECK(count(elements, std::string(figure) + "</") > 0);
  }
}

TEST_CASE("a plan's verdict on the page names the targets that it passes") {
  RunResult run = large_run(8);
  const auto verdicts = [&] { return json::parse(script(html_report(run), "texts"))["verdicts"]; };
  CHECK(verdicts()[0] == "98 %, 99.9 %");
  CHECK(verdicts()[1] == "98 %");
  CHECK(verdicts()[7] == "");
  run.looser.clear();
  run.latency_target = LatencyTarget{.change = -0.4};
  CHECK(verdicts()[0] == "");
  CHECK(verdicts()[7] == "predicted within");
}

TEST_CASE("every control of the page works") {
  if (browser().empty()) {
    WARN("no browser is installed: the controls of report.html were not tried");
    return;
  }
  std::string page = html_report(large_run(20));
  const std::string script = R"(<script>
    const wait = setInterval(async () => {
      if (root.dataset.ready !== 'yes') return;
      clearInterval(wait);
      for (const button of document.querySelectorAll('button')) button.click();
      for (const select of document.querySelectorAll('select'))
        for (const option of select.options) {
          select.value = option.value;
          select.dispatchEvent(new Event('change'));
        }
      const filter = document.querySelector('input');
      filter.value = 'LAYER2.0';
      filter.dispatchEvent(new Event('input'));
      document.querySelector('section[aria-labelledby=sites] select').value = '';
      document.querySelector('section[aria-labelledby=sites] select').dispatchEvent(new Event('change'));
      root.dataset.rows = document.querySelector('section[aria-labelledby=sites] tbody').rows.length;
      root.dataset.sorted = document.querySelectorAll('th[aria-sort]').length;
      await drawAll(true);
      root.dataset.done = 'yes';
    }, 50);
  </script></body>)";
  page.replace(page.rfind("</body>"), 7, script);
  const TempDir dir;
  const std::string elements = rendered(dir, page, 1280);
  CAPTURE(said(elements, "error"));
  CHECK(said(elements, "done") == "yes");
  CHECK(said(elements, "errors") == "0");
  CHECK(said(elements, "theme") == "dark");
  CHECK(said(elements, "rows") == "2");
  CHECK(said(elements, "sorted") == "1");
}

TEST_CASE("examples of the page are written where asked for", "[.examples]") {
  const char* folder = std::getenv("HALFTONE_EXAMPLES");
  REQUIRE(folder != nullptr);
  for (const std::size_t sites : {20, 150})
    write_run(large_run(sites), std::string(folder) + "/" + std::to_string(sites));
  write_run(example_run(), std::string(folder) + "/small");
}
