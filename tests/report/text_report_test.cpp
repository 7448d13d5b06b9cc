#include <algorithm>
#include <sstream>

#include "catch.hpp"
#include "flat.hpp"
#include "halftone/report/markdown_report.hpp"
#include "large_run.hpp"
#include "report/text.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

std::string first_paragraph(const RunResult& run) {
  const std::string text = text_report(run);
  return flat(text.substr(0, text.find("\n\n")));
}

std::ptrdiff_t warnings(const RunResult& run) {
  const std::string text = text_report(run);
  std::ptrdiff_t count = 0;
  for (auto at = text.find("\n! "); at != std::string::npos; at = text.find("\n! ", at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("the report starts with what came out") {
  CHECK(first_paragraph(example_run()) ==
        "Met: 1 of 3 sites at 4 bits, 2 at 8 bits; keeps 99.93 % of the accuracy, 99.9 % asked for (4,589 correct, "
        "4,592 at 16 bits; 95 % interval 99.88 to 99.98 %).");
}

TEST_CASE("the report's first words say how the run ended") {
  RunResult run = example_run();
  run.status = RunStatus::Missed;
  CHECK_THAT(first_paragraph(run),
             Catch::StartsWith("Missed, no plan keeps enough. The best found: 1 of 3 sites at 4"));
  run.status = RunStatus::Stopped;
  CHECK_THAT(first_paragraph(run), Catch::StartsWith("Stopped on request. The best plan so far: 1 of 3 sites at 4"));
  run.plan = Plan::uniform(3, k8);
  CHECK_THAT(first_paragraph(run), Contains("all 3 sites at 8 bits; keeps"));
  run.plan = Plan::uniform(3, k16);
  CHECK_THAT(first_paragraph(run), Contains("all 3 sites at 16 bits, the baseline itself"));
  run.baseline.evaluation = run.result.evaluation = {};
  CHECK_THAT(first_paragraph(run), Catch::StartsWith("Stopped on request before the 16-bit baseline was scored"));
}

TEST_CASE("shares have a decimal more than was asked for") {
  RunResult run = example_run();
  run.gate.keep = 0.9999;
  CHECK_THAT(first_paragraph(run), Contains("keeps 99.935 % of the accuracy, 99.99 % asked for"));
  run.gate.keep = 0.99;
  CHECK_THAT(first_paragraph(run), Contains("keeps 99.93 % of the accuracy, 99 % asked for"));
}

TEST_CASE("latency is labelled as modelled and compared with all-16") {
  const std::string text = text_report(example_run());
  CHECK_THAT(text, Contains("Latency, modelled, not measured: roofline of a100 at batch 1 (a datasheet):\n"));
  CHECK_THAT(flat(text), Contains("all at 16 bits 1 ms 0.0 %") && Contains("all at 8 bits 0.7 ms -30.0 %") &&
                             Contains("all at 4 bits 0.4 ms -60.0 %") && Contains("plan 0.5 ms -50.0 %"));
}

TEST_CASE("weights are counted at the precisions of the plan") {
  CHECK_THAT(text_report(example_run()), Contains("Weights: 2.5 KiB in the plan, 6.0 KiB at 16 bits (-58.3 %)."));
}

TEST_CASE("the report has a row for every site in network order") {
  const std::string text = flat(text_report(example_run()));
  const auto first = text.find("conv1 conv 4x3x3x3 33.3 % 8 0.001 0.02 10.0 % ####");
  const auto second = text.find("layer1.0.conv2 conv 4x3x3x3 33.3 % 4 0.002 0.01 30.0 % ############");
  const auto third = text.find("fc linear 4x3x3x3 33.3 % 8 0.003 0.03 10.0 % ####");
  CHECK(first < second);
  CHECK(second < third);
  CHECK(third != std::string::npos);
}

TEST_CASE("the report tells the story of the search") {
  const std::string text = flat(text_report(example_run()));
  CHECK_THAT(text, Contains("Search (bisection on the order gain by error): 3 plans evaluated"));
  CHECK_THAT(text, Contains("plan kept damage modelled 1 99.98 % 0.001 - pass all 3 sites: next"));
  CHECK_THAT(text,
             Contains("2 98.00 % 0.092 - fail 2 lose too much: try 1 3 99.93 % 0.003 - pass 1 keeps enough: done (the "
                      "result)"));
}

TEST_CASE("a run without flaws has no warnings") { CHECK(warnings(example_run()) == 0); }

TEST_CASE("a missing report part is warned of") {
  RunResult run = example_run();
  run.report_data.reset();
  run.result.report.reset();
  run.baseline.report.reset();
  CHECK(warnings(run) == 1);
  CHECK_THAT(flat(text_report(run)),
             Contains("! There is no report part: the validation data chose the plan and also scores"));
}

TEST_CASE("data parts that are the same samples are warned of") {
  RunResult run = example_run();
  run.calibration_data.digest = run.validation_data.digest;
  CHECK(warnings(run) == 1);
  CHECK_THAT(text_report(run), Contains("! Calibration and validation data are the same samples"));
  run = example_run();
  run.report_data->digest = run.validation_data.digest;
  CHECK(warnings(run) == 1);
  CHECK_THAT(text_report(run), Contains("! The report part is the validation data"));
}

TEST_CASE("a target of less than one sample is warned of") {
  RunResult run = example_run();
  run.gate.keep = 0.9999;
  run.result.report = run.baseline.report;
  CHECK(warnings(run) == 1);
  CHECK_THAT(flat(text_report(run)),
             Contains("! The data cannot resolve 99.99 %: of 4,592 correct answers the plan may "
                      "lose 0.46, less than one"));
  run.gate.keep = 1 - 1.6 / 4592;
  run.result.evaluation.interval = {0.9999, 1.0001};
  CHECK(warnings(run) == 0);
}

TEST_CASE("an interval much wider than the loss allowed is warned of") {
  RunResult run = example_run();
  run.result.evaluation = example_evaluation(4589, 0.0019);
  CHECK(warnings(run) == 0);
  run.result.evaluation = example_evaluation(4589, 0.003);
  CHECK(warnings(run) == 1);
  CHECK_THAT(flat(text_report(run)),
             Contains("! The data hardly resolves 99.9 %: the score kept is known to +-0.30 %, the "
                      "loss allowed is 0.10 %. About 50,000 samples would make them equal; there "
                      "are 4,600."));
}

TEST_CASE("no changed sample among few is no certainty") {
  RunResult run = example_run();
  run.gate.keep = 0.95;
  for (Evaluation* evaluation : {&run.baseline.evaluation, &run.result.evaluation}) {
    evaluation->score = 1;
    evaluation->score_count = 24;
    evaluation->samples = 24;
    evaluation->interval = {1, 1};
  }
  CHECK(warnings(run) == 1);
  CHECK_THAT(flat(text_report(run)), Contains("! The data hardly resolves 95 %: the score kept is known to +-12.50 %"));
}

TEST_CASE("a report part that keeps less than was asked for is warned of") {
  RunResult run = example_run();
  run.result.report = example_evaluation(4580, 0.004);
  CHECK(warnings(run) == 1);
  CHECK_THAT(flat(text_report(run)),
             Contains("! On the report part, which chose nothing, the plan keeps 99.74 %, less than "
                      "99.9 %; its 95 % interval includes what was asked for"));
  run.result.report = example_evaluation(4580, 0.001);
  CHECK(warnings(run) == 1);
  CHECK_THAT(flat(text_report(run)), Contains("less than 99.9 %: expect it to miss the target on new data"));
}

TEST_CASE("no line of a report is wider than 100 columns, whatever the names") {
  RunResult run = example_run();
  run.sites[1].name = std::string(300, 'x') + ".conv2";
  run.metric = "a metric of a long name";
  run.sites[1].weight_shape = {1024, 1024, 3, 3, 3, 3, 3};
  run.precisions = {k16, k8, kW4A8, k4};
  for (auto& scores : run.sensitivity.scores) scores[kW4A8] = 1.234567e-12;
  run.steps[0].decision =
      "a decision that needs many more words than most of them do, so that it has to be broken into "
      "several lines, and then some";
  run.validation_data.name = "cifar10:a folder/" + std::string(60, 'y') + " [0:4600] less 20% (by class, seed 0)";
  std::istringstream lines(text_report(run));
  for (std::string line; std::getline(lines, line);) {
    CAPTURE(line);
    CHECK(internal::columns(line) <= 100);
    CHECK_FALSE(line.ends_with(' '));
  }
}

TEST_CASE("a report is the same whenever it is made") {
  CHECK(text_report(example_run()) == text_report(example_run()));
  CHECK_THAT(text_report(example_run()), Catch::StartsWith(text_summary(example_run())));
}

TEST_CASE("a run that was stopped before anything was known can be reported") {
  RunResult run = example_run();
  run.status = RunStatus::Stopped;
  run.plan = Plan::uniform(3, k16);
  run.float_score = run.baseline.evaluation = run.result.evaluation = {};
  run.baseline.report.reset();
  run.result.report.reset();
  run.calibration = {};
  run.sensitivity = {};
  run.steps.clear();
  run.site_saving.clear();
  run.uniform_latency.clear();
  run.seconds.clear();
  run.report_data.reset();
  CHECK_THAT(text_report(run), Contains("no plan was evaluated"));
  CHECK(warnings(run) == 0);
}

TEST_CASE("inputs that lose most at 8 bits are told, once a tensor") {
  RunResult run = example_run();
  const std::string text = text_report(run);
  CHECK_THAT(text, Contains("Activations at 8 bits, worst first"));
  const auto second = text.find("layer1.0.conv2 and 1 more    40    2 %");
  REQUIRE(second != text.npos);
  CHECK(text.find("conv1                         3  0.01 %", second) != text.npos);
  run.activations.clear();
  CHECK_THAT(text_report(run), !Contains("Activations at 8 bits"));
}

TEST_CASE("tasks other than top-k are reported without percent signs") {
  RunResult run = example_run();
  run.task = "spearman";
  CHECK_THAT(first_paragraph(run), Contains("of the spearman score") && Contains("(0.997609, 0.998261 at 16 bits"));
  CHECK_THAT(text_report(run), !Contains("correct"));
}

TEST_CASE("damage gates are reported as such, and are not warned of too few samples") {
  RunResult run = example_run();
  run.gate = {.kind = GateKind::Damage, .budget = 0.03};
  CHECK_THAT(first_paragraph(run),
             Contains("does 0.003 damage, at most 0.03 asked for; keeps 99.93 % of the accuracy"));
  CHECK(warnings(run) == 0);
  run.status = RunStatus::Missed;
  CHECK_THAT(first_paragraph(run), Catch::StartsWith("Missed, no plan does as little damage. The best found: "));
  run.status = RunStatus::Met;
  run.result.report->damage = 0.04;
  CHECK_THAT(flat(text_report(run)),
             Contains("! On the report part, which chose nothing, the plan does 0.04 damage, more "
                      "than 0.03"));
}

TEST_CASE("confidence gates say what is sure, and how many samples certifying takes") {
  RunResult run = example_run();
  run.gate.kind = GateKind::Confidence;
  run.result.evaluation.score_error = 0.0001;
  CHECK_THAT(first_paragraph(run),
             Contains("keeps 99.93 % of the accuracy, with 95 % confidence at least 99.92 %, 99.9 % "
                      "with confidence asked for"));
  CHECK(warnings(run) == 0);
  run.result.evaluation.score_error = 0.002;
  CHECK(warnings(run) == 1);
  CHECK_THAT(flat(text_report(run)),
             Contains("! Certifying 99.9 % of the score takes about 60,000 samples for a plan that "
                      "changes as many answers as this one and loses none on balance; there are "
                      "4,600."));
  run = example_run();
  run.gate.kind = GateKind::Confidence;
  run.plan = Plan::uniform(3, k16);  // none could be certified
  run.result.evaluation = run.baseline.evaluation;
  run.result.evaluation.samples = run.baseline.evaluation.samples = 500;
  CHECK_THAT(flat(text_report(run)), Contains("! Certifying 99.9 % of the score takes about"));
}

TEST_CASE("a latency target stands in place of a gate") {
  RunResult run = example_run();
  run.latency_target = LatencyTarget{.change = -0.3};
  CHECK_THAT(first_paragraph(run), Contains("its latency is modelled -50.0 % against 16 bits, -30.0 % asked for; keeps "
                                            "99.93 % of the accuracy, damage 0.003"));
  run.status = RunStatus::Missed;
  CHECK_THAT(first_paragraph(run), Catch::StartsWith("Missed, no plan is as fast as asked for. The fastest found: "));
}

TEST_CASE("a run that stopped says why") {
  RunResult run = example_run();
  run.status = RunStatus::Stopped;
  run.stop_reason = "after 20 evaluations";
  CHECK_THAT(first_paragraph(run), Catch::StartsWith("Stopped after 20 evaluations. The best plan so far: "));
}

TEST_CASE("what confidence means is explained where it was asked for") {
  RunResult run = example_run();
  CHECK_THAT(text_report(run), !Contains("one-sided"));
  run.gate.kind = GateKind::Confidence;
  CHECK_THAT(flat(text_report(run)),
             Contains("What is kept \"with 95 % confidence\" is a one-sided bound that also allows for few differing "
                      "samples, and so may lie below the two-sided 95 % interval, which does not."));
}

TEST_CASE("what ended early is bounded, not known") {
  RunResult run = example_run();
  run.steps[1].evaluation.unscored = 4000;
  CHECK_THAT(flat(text_report(run)), Contains("3 plans evaluated, 1 of them only until") &&
                                         Contains("2 at most 98.00 % at least 0.092 - fail 2 lose too much"));
  run.status = RunStatus::Missed;
  run.result.evaluation.unscored = 100;
  CHECK_THAT(first_paragraph(run), Contains("keeps at most 99.93 % of the accuracy") &&
                                       Contains("scoring ended after 4,500 of 4,600 samples, when that was certain"));
  CHECK_THAT(flat(text_report(run)), Contains("plan, at most 99.76 % 4,589 4,600 at least 0.003 99.93 % -"));
}

TEST_CASE("reports with bounds and several targets fit into 100 columns") {
  RunResult run = large_run(20);
  run.result.evaluation.unscored = 100;
  run.status = run.looser[0].status = RunStatus::Missed;
  run.looser[0].gate = {.keep = 0.98, .kind = GateKind::Confidence};
  std::istringstream lines(text_report(run));
  for (std::string line; std::getline(lines, line);) {
    CAPTURE(line);
    CHECK(internal::columns(line) <= 100);
    CHECK_FALSE(line.ends_with(' '));
  }
}

TEST_CASE("several targets stand side by side, each with its story") {
  const std::string text = flat(text_report(large_run(20)));
  CHECK_THAT(text,
             Contains("All targets, loosest first; latency against 16 bits: target kept damage predicted "
                      "measured sites 98 % met 97.08 % 0.134 -41.3 % -55.0 % 7 at 4, 13 at 8 99.9 % met 99.93 %"));
  CHECK_THAT(text,
             Contains("Their plans: plan-keep-98.json, plan.json. The last target, the strictest, is the run's "
                      "own: all else in this report is of its plan, and the report part is scored for it alone."));
  const auto looser = text.find("For 98 %: plan kept damage predicted 1 100.02 %");
  CHECK(looser < text.find("4 97.08 % 0.134 -41.3 % pass 3 of 8: enough is kept (the result)"));
  CHECK(looser < text.find("For 99.9 %: plan kept damage predicted 1 100.02 %"));
  CHECK(text.find("For 99.9 %:") < text.find("4 97.08 % 0.134 -41.3 % fail 7 sites at 4 bits: too much is lost"));
}

TEST_CASE("the Markdown report has the text report's figures in real tables") {
  const std::string text = markdown_report(large_run(20));
  CHECK_THAT(text, Catch::StartsWith("## Halftone: net:weights.safetensors\n\nMet: 6 of 20 sites at 4 bits"));
  CHECK_THAT(text, Contains("|  | accuracy | correct | samples | damage | kept | 95 % interval |\n"
                            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n") ||
                       Contains("| | accuracy | correct | samples | damage | kept | 95 % interval |\n"
                                "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"));
  CHECK_THAT(text, Contains("| plan | 99.76 % | 4,589 | 4,600 | 0.003 | 99.93 % | 99.88 to 99.98 % |\n"));
  CHECK_THAT(text, !Contains("####"));
  RunResult run = example_run();
  run.sites[0].name = "a|b_c\n<script>";
  CHECK_THAT(markdown_report(run), Contains("| a\\|b\\_c \\<script\\> | conv |"));
  CHECK_THAT(markdown_report(run), Contains("| calibration | 500 samples | cifar10:train.bin\\[0:500\\] |"));
}

TEST_CASE("a target that no search was made for says so, and has no other target's story") {
  RunResult run = large_run(20);
  run.status = RunStatus::Stopped;
  run.stop_reason = "after 9 evaluations, all that were allowed";
  run.unsearched = "the budget was spent on looser targets";
  run.decisions.clear();
  const std::string text = flat(text_report(run));
  CHECK_THAT(text, Contains("For 99.9 %: not searched: the budget was spent on looser targets. Ranges") ||
                       Contains("For 99.9 %: not searched: the budget was spent on looser targets. Data"));
  CHECK_THAT(text, !Contains("too much is lost"));
  CHECK_THAT(text, Contains("99.9 % not searched 99.93 %"));
  CHECK_THAT(first_paragraph(run),
             Catch::StartsWith("Stopped after 9 evaluations, all that were allowed; for 99.9 % no search was made: the "
                               "budget was spent on looser targets. The best plan known: 6 of 20 sites at 4 bits"));
}

TEST_CASE("what fails by less than the usual digits show has more of them") {
  RunResult run = example_run();
  run.gate = {.kind = GateKind::Damage, .budget = 0.03};
  run.steps[1].evaluation.damage = 0.030004;
  run.steps[1].evaluation.unscored = 100;
  run.steps[0].evaluation.damage = 0.029999;
  CHECK_THAT(flat(text_report(run)), Contains("at least 0.030004 - fail") && Contains("99.98 % 0.03 - pass"));
  run = example_run();
  run.steps[1].evaluation.score = run.baseline.evaluation.score * 0.998999;
  CHECK_THAT(flat(text_report(run)), Contains("2 99.8999 % 0.092 - fail"));
}

TEST_CASE("a latency target's outcome says where the measurement's noise hides it") {
  RunResult run = measured_run();
  run.latency_target = LatencyTarget{.change = -0.3};
  CHECK_THAT(first_paragraph(run), Catch::StartsWith("Met: ") &&
                                       Contains("its latency is predicted -50.0 %, measured -50.0 % against 16 bits "
                                                "(95 % interval -50.5 to -49.5 %), -30.0 % asked for;"));
  run.latency_target->change = -0.499;
  CHECK_THAT(first_paragraph(run), Catch::StartsWith("Met, though within the measurement's noise: "));
  run.latency_target->change = -0.501;
  run.status = RunStatus::Missed;
  CHECK_THAT(first_paragraph(run),
             Catch::StartsWith("Missed, though within the measurement's noise, no plan is as fast as asked for. "));
  run.status = RunStatus::Met;
  run.latency_target = LatencyTarget{.limit = 1.005};
  CHECK_THAT(first_paragraph(run),
             Catch::StartsWith("Met, though within the measurement's noise: ") &&
                 Contains("measured -50.0 % against 16 bits (0.98 ms, median 1 ms), 1.005 ms asked for;"));
  run.latency_target->limit = 1.1;
  CHECK_THAT(first_paragraph(run), Catch::StartsWith("Met: "));
}
