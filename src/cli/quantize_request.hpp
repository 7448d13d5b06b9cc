#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.hpp"
#include "halftone/quantize.hpp"
#include "halftone/sensitivity/sensitivity_file.hpp"
#include "halftone/train/finish.hpp"

namespace halftone::cli {

/// `halftone quantize` as it was typed.
struct QuantizeArguments {
  ModelOptions model;
  CommonOptions common;
  RangeChoice ranges{.weight = "auto"};
  std::string adjust = "none";
  std::string calibrate;
  std::string validate;
  std::string report;
  std::string train;  ///< empty: no fine-tuning
  std::int64_t finish_steps = FinishOptions{}.steps;
  double finish_rate = FinishOptions{}.weight_rate;
  double finish_labels = 0;
  std::string task = "top1";
  std::string keep;  ///< empty: not given, 99.9 %
  std::string gate = "point";
  std::string latency_target;
  std::int64_t most_evaluations = 0;  ///< 0: no limit
  double most_seconds = 0;            ///< likewise
  std::int64_t repairs = SearchLimits{}.repairs;
  bool fresh = false;
  std::string metric;  ///< empty: not given, "interlayer" or what `sensitivity` holds
  std::string sensitivity;
  std::string order = "auto";
  std::string search = "bisection";
  std::string latency;
  std::string engine;
  std::string evaluate;
  std::string float_type = "auto";
  std::string cache;  ///< empty: the default
  std::string precisions;
  std::string rules;  ///< a file; empty for none
  std::vector<std::string> together;
  std::vector<std::string> keep_high;
  std::vector<std::string> leave_out;
  std::int64_t batch = 1;
  std::int64_t compare_samples = QuantizeOptions{}.compare_samples;
  std::int64_t engine_threads = 0;  ///< 0: not given, one
  std::int64_t eval_batch = 16;
  std::string out;
};

/// The arguments after every one was checked.
struct QuantizeRequest {
  ModelRequest model;
  QuantizeOptions options;
  QuantizeParts parts;
  std::optional<SensitivityFile> sensitivity{};
  std::optional<double> report_share{};  ///< of the validation data
  std::unique_ptr<Finisher> finisher{};  ///< null where there is no training data
};

/// Throws for what does not fit together, before any work.
QuantizeRequest check(const Registry& registry, const QuantizeArguments& arguments);

}  // namespace halftone::cli
