#include "halftone/evaluate/gate.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iomanip>
#include <optional>
#include <sstream>

#include "halftone/core/error.hpp"

namespace halftone {
namespace {

std::optional<double> read_number(const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(number)) return std::nullopt;
  return number;
}

constexpr double kRounding = 1e-12;

/// "99.9 %": `share` with as many digits as it has, up to 10.
std::string in_percent(double share) {
  std::ostringstream text;
  text << std::setprecision(10) << 100 * share << " %";
  return text.str();
}

}  // namespace

const char* to_string(GateKind kind) {
  switch (kind) {
    case GateKind::Point:
      return "point";
    case GateKind::Confidence:
      return "confidence";
    case GateKind::Damage:
      return "damage";
  }
  return "unknown";
}

double score_margin(const Evaluation& evaluation) {
  constexpr double kOneSided = 1.645;  // 95 % of a normal distribution lie below
  const double one = evaluation.score_span / static_cast<double>(std::max<std::int64_t>(evaluation.samples, 1));
  return kOneSided * std::sqrt(evaluation.score_error * evaluation.score_error + 0.75 * one * one) + 1.6 * one;
}

bool Gate::passes(const Evaluation& evaluation, const Evaluation& baseline) const {
  if (kind == GateKind::Damage) return evaluation.damage <= budget * (1 + kRounding);
  const double size = std::abs(baseline.score);
  const double margin = kind == GateKind::Confidence ? score_margin(evaluation) : 0;
  return evaluation.score - baseline.score - margin >= -(1 - keep) * size - kRounding * std::max(1.0, size);
}

bool Gate::is_looser_than(const Gate& other) const {
  if (kind == GateKind::Damage || other.kind == GateKind::Damage) return kind == other.kind && budget > other.budget;
  return kind == other.kind ? keep < other.keep : kind == GateKind::Point && keep <= other.keep;
}

std::vector<std::string> validate(const Gate& gate, const std::string& name) {
  if (gate.kind == GateKind::Damage) {
    if (gate.budget > 0 && std::isfinite(gate.budget)) return {};
    return {message(name, ".budget is ", gate.budget, ": a mean divergence above 0 is needed")};
  }
  if (gate.keep > 0 && gate.keep <= 1) return {};
  return {message(name, ".keep is ", gate.keep, ": a share above 0 and at most 1 is needed, e.g. 0.999")};
}

std::string to_string(const Gate& gate) {
  if (gate.kind == GateKind::Damage) return message("damage ", gate.budget);
  return in_percent(gate.keep) + (gate.kind == GateKind::Confidence ? " with confidence" : "");
}

double parse_keep(std::string_view text) {
  const bool percent = text.ends_with('%');
  // Scaling the digits, not the number, makes "99.9%" exactly "0.999".
  const auto keep = read_number(percent ? std::string(text.substr(0, text.size() - 1)) + "e-2" : std::string(text));
  const auto complain = [text](const std::string& why) -> Error {
    return {Errc::InvalidArgument, message("keep \"", text, "\" ", why)};
  };
  if (!keep) throw complain("is not a number: give the share of the baseline's score to keep, e.g. 99.9% or 0.999");
  if (*keep <= 0) throw complain("keeps nothing: it must be above 0 %");
  if (*keep > 1 && !percent && *keep <= 100)
    throw complain(message("is more than the whole score: did you mean \"", text, "%\"?"));
  if (*keep > 1) throw complain("is more than the whole score: it must be at most 100 %");
  return *keep;
}

std::vector<Gate> parse_gates(std::string_view keep, std::string_view gate) {
  const auto list = [](std::string_view text) {
    std::vector<std::string> entries;
    for (std::size_t begin = 0; begin <= text.size();) {
      const std::size_t end = std::min(text.find(',', begin), text.size());
      entries.emplace_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
    return entries;
  };
  const std::string_view kind = gate.substr(0, gate.find(':'));
  std::vector<Gate> gates;
  if (kind == "damage") {
    if (!keep.empty())
      throw Error(Errc::InvalidArgument, message("gate \"", gate,
                                                 "\" sets how much damage may be done: a share of the "
                                                 "score to keep (",
                                                 keep, ") has no part in it, leave one of them out"));
    if (gate == kind)
      throw Error(Errc::InvalidArgument,
                  "gate \"damage\" needs a budget: give damage:0.03, the mean divergence allowed");
    for (const std::string& entry : list(gate.substr(kind.size() + 1))) {
      const auto budget = read_number(entry);
      if (!budget || !(*budget > 0))
        throw Error(Errc::InvalidArgument,
                    message("gate \"", gate, "\": its budget \"", entry,
                            "\" is no number above 0: give a mean divergence, e.g. damage:0.03"));
      gates.push_back({.kind = GateKind::Damage, .budget = *budget});
    }
  } else if (gate == "point" || gate == "confidence") {
    for (const std::string& entry : list(keep.empty() ? "99.9%" : keep))
      gates.push_back({.keep = parse_keep(entry), .kind = gate == "point" ? GateKind::Point : GateKind::Confidence});
  } else {
    throw Error(Errc::InvalidArgument,
                message("gate \"", gate, "\" is unknown: point, confidence or damage:BUDGET is needed"));
  }
  std::sort(gates.begin(), gates.end(), [](const Gate& a, const Gate& b) { return a.is_looser_than(b); });
  const auto same = [](const Gate& a, const Gate& b) { return !a.is_looser_than(b) && !b.is_looser_than(a); };
  gates.erase(std::unique(gates.begin(), gates.end(), same), gates.end());
  return gates;
}

}  // namespace halftone
