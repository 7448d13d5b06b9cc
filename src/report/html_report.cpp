#include "halftone/report/html_report.hpp"

#include <nlohmann/json.hpp>

#include "halftone/core/error.hpp"
#include "report/activations.hpp"
#include "report/caveats.hpp"
#include "report/headline.hpp"
#include "report/outcome.hpp"
#include "report/page_source.hpp"
#include "report/text_summary.hpp"

namespace halftone {
namespace {

using namespace internal;
using nlohmann::json;

std::string escaped_html(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\0':
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

/// JSON that can stand in a script element: nothing in it ends the element or opens a comment.
std::string in_script(const json& object) {
  std::string escaped;
  for (const char c : object.dump(-1, ' ', false, json::error_handler_t::replace))
    escaped += c == '<' ? "\\u003c" : std::string(1, c);
  return escaped;
}

/// For which targets each plan is good enough, by its own figures: "95 %, 99 %"; empty for none.
json verdicts(const RunResult& run) {
  json verdicts = json::array();
  const double limit = run.latency_target ? run.latency_target->limit_beside(run.baseline.predicted_latency) : 0;
  for (const SearchStep& step : run.steps) {
    std::string passed;
    if (run.latency_target && step.latency <= limit) passed = "predicted within";
    for (const TargetResult& target : all_targets(run))
      if (!run.latency_target && target.gate.passes(step.evaluation, run.baseline.evaluation))
        passed += message(passed.empty() ? "" : ", ", to_string(target.gate));
    verdicts.push_back(std::move(passed));
  }
  return verdicts;
}

/// What the page says in the words of the text report.
json texts(const RunResult& run) {
  const ScoreText scores(run);
  json figures = json::array();
  for (const HeadlineFigure& figure : headline(run))
    figures.push_back(
        {{"label", figure.label}, {"value", figure.value}, {"basis", figure.basis}, {"detail", figure.detail}});
  const ActivationsReport activations = activations_report(run);
  return {{"activations", {{"caption", activations.caption}, {"head", activations.head}, {"rows", activations.rows}}},
          {"caveats", caveats(run)},
          {"headline", std::move(figures)},
          {"weights", weights_text(run)},
          {"score_noun", scores.noun()},
          {"is_accuracy", scores.is_accuracy()},
          {"kept_decimals", scores.decimals()},
          {"keeps", scores.keeps()},
          {"budgets", scores.budgets()},
          {"explanations", explanations(run)},
          {"verdicts", verdicts(run)},
          {"estimate", run.latency_measured ? "predicted" : "modelled"},
          {"has_plots", kPageHasPlots}};
}

}  // namespace

bool html_report_has_plots() { return kPageHasPlots; }

std::string html_report(const RunResult& run) {
  const std::pair<const char*, std::string> fillings[]{
      {"<!--halftone:title-->", escaped_html(message(run.model, ", ", to_string(run.status)))},
      {"<!--halftone:outcome-->", escaped_html(outcome(run))},
      {"<!--halftone:text-->", escaped_html(text_report(run))},
      {"<!--halftone:texts-->", in_script(texts(run))},
      {"<!--halftone:run-->", in_script(to_run_json(run))},
  };
  std::string page;
  std::string_view rest = kPage;
  for (const auto& [mark, text] : fillings) {
    const std::size_t at = rest.find(mark);
    if (at == rest.npos) throw Error(Errc::Internal, message("the page has no place for ", mark));
    page += rest.substr(0, at);
    page += text;
    rest.remove_prefix(at + std::string_view(mark).size());
  }
  return page += rest;
}

}  // namespace halftone
