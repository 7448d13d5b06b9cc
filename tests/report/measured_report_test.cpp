#include <nlohmann/json.hpp>

#include <sstream>
#include <string>

#include "catch.hpp"
#include "example_run.hpp"
#include "flat.hpp"
#include "report/headline.hpp"
#include "report/text.hpp"
#include "report/text_summary.hpp"

using namespace halftone;
using Catch::Contains;
using nlohmann::json;

TEST_CASE("measured times stand beside the predicted ones, in the report") {
  const std::string text = flat(text_report(measured_run()));
  CHECK_THAT(text, Contains("Latency measured in openvino 2026.4.1, batch 1, 2 threads, all but integers in bf16; load "
                            "of the machine 0.5; "
                            "predicted from 36 networks measured in openvino 2026.4.1"));
  CHECK_THAT(text, Contains("predicted minimum median of 16 bits"));
  CHECK_THAT(text, Contains("all at 16 bits 1 ms 1.96 ms 2 ms ####"));
  CHECK_THAT(text, Contains("all at 4 bits 0.4 ms 1.47 ms 1.5 ms -25.0 % ####"));
  CHECK_THAT(text, Contains("plan 0.5 ms 0.98 ms 1 ms -50.0 % ####"));
  CHECK_THAT(text, !Contains("modelled"));
  CHECK_THAT(text, Contains("cost the plan, as a share of the all-16 latency, predicted."));
}

TEST_CASE("16 bits that ran in float32 are called so") {
  RunResult run = measured_run();
  run.engine->float_type = "f32";
  CHECK_THAT(flat(text_report(run)), Contains("all at 16 bits (f32) 1 ms 1.96 ms 2 ms ####"));
  run.status = RunStatus::Stopped;
  run.measured.reset();
  CHECK_THAT(flat(text_report(run)), Contains("Scored deployed in openvino 2026.4.1, all but integers in f32"));
}

TEST_CASE("a difference is reported only where one was seen") {
  CHECK_THAT(flat(text_report(measured_run())), Contains("all at 8 bits 0.7 ms 1.96 ms 2 ms no difference ####"));
}

TEST_CASE("a plan that is measured no faster than 16 bits is said to be so") {
  const auto text_of = [](const Timing& plan) {
    RunResult run = measured_run();
    run.measured->plan = plan;
    return flat(text_report(run));
  };
  const std::string no_faster = "! Measured side by side, the plan is no faster here than all at 16 bits (";
  CHECK_THAT(text_of(example_timing(3)), Contains(no_faster + "+50.0 %; 95 % interval"));
  CHECK_THAT(text_of(example_timing(2, /*phase=*/1)), Contains(no_faster + "no difference; 95 % interval"));
  CHECK_THAT(text_of(example_timing(1)), !Contains("no faster here"));
  RunResult run = measured_run();
  run.measured->plan = run.measured->baseline;
  run.plan = Plan::uniform(run.plan.size(), k16);
  CHECK_THAT(flat(text_report(run)), !Contains("no faster here"));
  run = measured_run();
  run.measured->plan = example_timing(3);
  run.latency_target = LatencyTarget{.change = -0.3};
  CHECK_THAT(flat(text_report(run)), !Contains("no faster here"));
}

TEST_CASE("measured times beside a modelled latency leave it its own table") {
  RunResult run = measured_run();
  run.latency_model = "roofline:a100";
  run.latency_measured = false;
  run.latency_origin = "modelled, not measured: roofline of a100 at batch 1 (a datasheet)";
  const std::string text = flat(text_report(run));
  CHECK_THAT(text, Contains("Latency, modelled, not measured: roofline of a100 at batch 1 (a datasheet): all at 16 "
                            "bits 1 ms 0.0 %"));
  CHECK_THAT(text, Contains("load of the machine 0.5:") && Contains("plan 0.98 ms 1 ms -50.0 % ####"));
  CHECK_THAT(text, !Contains("predicted"));
}

TEST_CASE("the report says where scores come from, and gives the plan's other one") {
  CHECK_THAT(flat(text_report(measured_run())),
             Contains("Scored deployed in openvino 2026.4.1, all but integers in bf16, where not said otherwise:") &&
                 Contains("plan, simulated 99.74 % 4,588 4,600"));
  RunResult run = measured_run();
  std::swap(run.scored_in, run.other_score->scored_in);
  CHECK_THAT(flat(text_report(run)),
             Contains("Scored simulated, where not said otherwise:") && Contains("plan, deployed 99.74 %"));
}

TEST_CASE("where the other score is of some samples, the plan's own on the same samples stands beside it") {
  RunResult run = measured_run();
  run.other_score->evaluation.samples = 512;
  run.other_score->evaluation.score_count = 471;
  run.other_score->evaluation.score = 471.0 / 512;
  run.other_score->same_samples = {.baseline = run.other_score->evaluation, .plan = run.other_score->evaluation};
  run.other_score->same_samples->plan.score_count = 468;
  run.other_score->same_samples->plan.score = 468.0 / 512;
  CHECK_THAT(flat(text_report(run)), Contains("plan, on some 91.41 % 468 512") && Contains("99.36 %") &&
                                         Contains("the same, simulated 91.99 % 471 512") &&
                                         !Contains("plan, simulated"));
  const json written = to_run_json(run)["other_score"];
  CHECK(written["score_count"] == 471);
  CHECK(written["same_samples"]["plan"]["score_count"] == 468);
  CHECK(written["same_samples"]["baseline"]["score_count"] == 471);
}

TEST_CASE("notes on how the plan was chosen are in the report") {
  CHECK_THAT(flat(text_report(measured_run())), Contains(measured_run().notes.front()));
}

TEST_CASE("a report of measured times fits into 100 columns") {
  RunResult run = measured_run();
  run.precisions = {k16, k8, kW4A8, k4};
  run.scored_in = run.engine->name = "an engine of a long name 2026.4.1-20871-9b3b5d8a7c1-releases/2026/4";
  run.latency_origin = std::string("predicted from 36 networks ") + std::string(60, 'y') + " and more";
  run.measured->uniform["w4a8"] = example_timing(123456.789);
  run.measured->uniform["8"] = example_timing(1e-5);
  for (RunResult other : {run, measured_run()}) {
    std::istringstream lines(text_report(other));
    for (std::string line; std::getline(lines, line);) {
      CAPTURE(line);
      CHECK(internal::columns(line) <= 100);
      CHECK_FALSE(line.ends_with(' '));
    }
    std::swap(other.scored_in, other.other_score->scored_in);
    CHECK_NOTHROW(text_report(other));
  }
}

TEST_CASE("run.json has what was measured") {
  const json run = to_run_json(measured_run());
  CHECK(run["scored_in"] == "openvino 2026.4.1");
  CHECK(run["other_score"]["scored_in"] == "simulation");
  CHECK(run["other_score"]["score_count"] == 4588);
  CHECK(run["other_score"]["interval"].size() == 2);
  CHECK(run["notes"].size() == 1);
  const json latency = run["result"]["latency_ms"];
  CHECK(latency["predicted"] == 0.5);
  CHECK(latency["measured"] == 0.98);
  CHECK(latency["median"] == 1);
  CHECK(latency["spread"] == 0.02);
  CHECK(latency["engine"] == "openvino 2026.4.1");
  CHECK(latency["threads"] == 2);
  CHECK(run["options"]["engine"] == "openvino");
  CHECK(latency["model"] == "measured:openvino");
  CHECK(run["baseline"]["latency_ms"]["measured"] == 1.96);
  const json measured = run["measured"];
  CHECK(measured["engine"] == "openvino 2026.4.1");
  CHECK(measured["batch"] == 1);
  CHECK(measured["threads"] == 2);
  CHECK(measured["load"] == 0.5);
  CHECK(measured["precise"] == true);
  CHECK(measured["plan"] == json{{"minimum", 0.98},
                                 {"median", 1.0},
                                 {"interval", {0.99, 1.01}},
                                 {"spread", 0.02},
                                 {"passes", 90},
                                 {"turns", measured_run().measured->plan.samples},
                                 {"of_baseline", {{"value", 0.5}, {"interval", {0.5 * 0.99, 0.5 * 1.01}}}}});
  CHECK(run["engine"] == json{{"name", "openvino"}, {"version", "2026.4.1"}, {"threads", 2}, {"float_type", "bf16"}});
  CHECK(measured["baseline"]["median"] == 2);
  CHECK(measured["uniform"].size() == 3);
  CHECK(measured["uniform"]["4"]["median"] == 1.5);
}

TEST_CASE("without an engine nothing measured is in run.json") {
  const json run = to_run_json(example_run());
  CHECK(run["measured"].is_null());
  CHECK(run["other_score"].is_null());
  CHECK(run["notes"].empty());
}

TEST_CASE("a change in latency is one figure wherever it stands, the one of turns side by side") {
  RunResult run = measured_run();
  run.measured->plan.minimum = 0.9;  // the ratio of two minima would be another
  run.looser.push_back({.gate = {.keep = 0.98}, .plan = run.plan, .decisions = {}});
  run.looser[0].figures = run.result;
  run.looser[0].measured = run.measured->plan;
  const std::string text = flat(text_report(run));
  CHECK_THAT(text, Contains("plan 0.5 ms 0.9 ms 1 ms -50.0 %") && Contains("0.003 -50.0 % -50.0 % 1 at 4, 2 at 8"));
  CHECK_THAT(text, Contains("measured changes are the median of the ratios of turns that ran side by side"));
  CHECK_THAT(text, !Contains("-54.1 %"));
  CHECK(internal::measured_change(run.measured->plan, run.measured->baseline) == "-50.0 %");
  const auto figures = internal::headline(run);
  CHECK(figures[1].value == "-50.0 %");
  CHECK_THAT(figures[1].detail, Catch::StartsWith("95 % interval -50.5 to -49.5 %, turns side by side; openvino"));
  CHECK_THAT(figures[2].detail, !Contains(" ms"));  // a ratio of two times would be another figure
}
