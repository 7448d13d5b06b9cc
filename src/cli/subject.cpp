#include "cli/subject.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <span>
#include <utility>

#include "halftone/adjust/adjust_ranges.hpp"
#include "halftone/adjust/weight_method.hpp"
#include "halftone/core/error.hpp"
#include "halftone/engine/benchmark.hpp"
#include "halftone/plan/finished_file.hpp"
#include "report/text_summary.hpp"

namespace halftone::cli {

namespace {

bool needs_ranges(Precision p) { return p.weight_bits < 16 || p.activation_bits < 16; }

/// Ranges from the samples of --calibrate, adjusted where that was asked for. No sites: it was stopped.
Calibration make_ranges(const SubjectRequest& request, const LoadedModel& loaded, const Plan& plan,
                        std::span<const Precision> precisions, const Monitor& monitor) {
  const auto data = open_data(request.data, loaded);
  const std::shared_ptr<const Task> task = request.task ? request.task : make_top_k(1);
  auto chosen = calibrate_and_choose(loaded.model, *data, *task, precisions, request.calibrate, request.seed, monitor);
  if (!chosen) return {};
  if (!request.adjust) return std::move(chosen->calibration);
  const CalibrateOptions& options = request.calibrate;
  AdjustedRanges adjusted =
      adjust_ranges(loaded.model, chosen->calibration, *data, *task, plan,
                    {.batch_size = options.batch_size, .threads = options.threads, .seed = request.seed}, monitor);
  return adjusted.record.stopped ? Calibration{} : std::move(adjusted.calibration);
}

/// Ranges of fine-tuned weights fit no others.
void require_its_weights(const SubjectRequest& request) {
  const bool is_finished = !request.file->finished_digest.empty();
  if (is_finished && request.finished.empty() && request.data.empty())
    throw Error(Errc::InvalidArgument,
                message("plan ", request.path,
                        " has ranges for weights that were fine-tuned to it: give --finished FILE "
                        "(finished.safetensors beside it), or other ranges by --calibrate DATA"));
  if (!is_finished && !request.finished.empty())
    throw Error(Errc::InvalidArgument, message("--finished is given, and plan ", request.path,
                                               " was made for the model's own weights: leave it out"));
}

/// The network of the plan's ranges.
Model finished_network(const SubjectRequest& request, const Model& model) {
  Model finished = apply_finished_file(request.finished, model);
  if (const std::string made = digest(finished); made != request.file->finished_digest)
    throw Error(Errc::BadFile, message("finished weights \"", request.finished, "\" are not those that plan ",
                                       request.path, " was made with: give the file that was written beside it"));
  return finished;
}

}  // namespace

void add_subject(CLI::App& command, SubjectOptions& options) {
  options.command = &command;
  command.add_option("--plan", options.plan, "plan.json of `halftone quantize`")->type_name("FILE");
  command
      .add_option("--finished", options.finished,
                  "finished.safetensors beside the plan: weights fine-tuned to it,\nin place of the model's own")
      ->type_name("FILE");
  command
      .add_option("--uniform", options.uniform,
                  "all sites alike: float, 16, 2 to 8, w4a8; 16 where neither\nthis nor --plan is given")
      ->type_name("PRECISION");
  command
      .add_option("--calibrate", options.calibrate,
                  "samples that ranges come from: for --uniform below 16, or\ninstead of the ranges in the plan, which "
                  "may lack a width;\n\"random\" for timing only")
      ->type_name("DATA");
  command.add_flag("--adjust", options.adjust, "adjust these ranges by gradient descent on the samples");
  add_ranges(command, options.ranges);
}

SubjectRequest check(const SubjectOptions& options, std::int64_t batch_size, const CommonOptions& common) {
  SubjectRequest request{.path = options.plan,
                         .finished = options.finished,
                         .data = options.calibrate,
                         .calibrate = {.input = range_options(options.ranges.input),
                                       .weight = range_options(options.ranges.weight),
                                       .batch_size = batch_size,
                                       .threads = thread_count(common)},
                         .adjust = options.adjust,
                         .seed = common.seed};
  if (options.adjust && (options.calibrate.empty() || options.calibrate == kRandomData))
    throw Error(Errc::InvalidArgument,
                "--adjust needs samples to adjust ranges on: give --calibrate DATA, 250 to 500 of them");
  if ((options.calibrate.empty() || options.calibrate == kRandomData) && gives_ranges(*options.command))
    throw Error(
        Errc::InvalidArgument,
        "--range-input or --range-weight is given, and no ranges are made: give --calibrate DATA, or leave it out");
  if (!options.finished.empty() && (options.plan.empty() || !options.calibrate.empty()))
    throw Error(
        Errc::InvalidArgument,
        "--finished gives the weights that the ranges in a plan fit: give --plan beside it, without --calibrate");
  if (!options.plan.empty() && !options.uniform.empty())
    throw Error(Errc::InvalidArgument, "--plan and --uniform are both given: one network is taken at a time");
  if (!options.plan.empty()) {
    request.file = read_plan_file(options.plan);
    require_its_weights(request);
  } else if (options.uniform != "float") {
    request.uniform = parse_precision(options.uniform.empty() ? "16" : options.uniform);
    if (needs_ranges(*request.uniform) && options.calibrate.empty())
      throw Error(Errc::InvalidArgument, message("--uniform ", options.uniform,
                                                 " needs ranges to quantize to: give --calibrate DATA, 250 to "
                                                 "500 samples that they come from, or --plan, which brings its own"));
  }
  return request;
}

void require_calibration_used(const SubjectRequest& request) {
  if (request.data.empty() || request.file || (request.uniform && needs_ranges(*request.uniform))) return;
  throw Error(Errc::InvalidArgument,
              "--calibrate is given, and the network has no integers that need ranges: give --uniform 8 or --plan too, "
              "or leave --calibrate out");
}

LoadedModel load(ModelRequest model, const SubjectRequest& request, const Registry& registry, std::uint64_t seed) {
  const auto has = [&](SiteKind kind) {
    const auto& sites = request.file->sites;
    return std::any_of(sites.begin(), sites.end(), [&](const auto& site) { return site.kind == to_string(kind); });
  };
  if (request.file) model.sites = {.additions = has(SiteKind::Addition), .products = has(SiteKind::Product)};
  return load(model, registry, seed);
}

std::optional<Subject> make_subject(const SubjectRequest& request, const LoadedModel& loaded, const Monitor& monitor,
                                    std::set<Precision> more) {
  const std::vector<Site>& sites = loaded.model.sites;
  Subject subject{.plan = Plan::uniform(sites.size(), request.uniform.value_or(k16)),
                  .calibration = {std::vector<SiteRanges>(sites.size())}};
  if (request.file && !request.data.empty()) {  // ranges come from there, for whatever the plan was edited to
    subject.plan = apply_precisions(*request.file, sites, digest(loaded.model));
  } else if (request.file) {
    AppliedPlan applied = apply_plan_file(*request.file, sites, digest(loaded.model));
    subject.plan = std::move(applied.plan);
    subject.calibration = std::move(applied.calibration);
    if (!request.finished.empty()) subject.finished = finished_network(request, loaded.model);
  }
  more.insert(subject.plan.precisions.begin(), subject.plan.precisions.end());
  const std::vector<Precision> precisions(more.begin(), more.end());
  if (request.data.empty() || !std::any_of(precisions.begin(), precisions.end(), needs_ranges)) return subject;
  subject.random_ranges = request.data == kRandomData;
  if (subject.random_ranges) {
    subject.calibration = random_calibration(loaded.model, precisions);
  } else {
    subject.calibration = make_ranges(request, loaded, subject.plan, precisions, monitor);
  }
  if (subject.calibration.sites.empty()) return std::nullopt;
  return subject;
}

std::string describe(const SubjectRequest& request, const Plan& plan) {
  if (request.file)
    return request.path + ": " + internal::composition(plan) + (request.finished.empty() ? "" : ", fine-tuned");
  return request.uniform ? internal::composition(plan) : "float, as trained";
}

}  // namespace halftone::cli
