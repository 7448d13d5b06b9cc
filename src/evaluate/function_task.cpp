#include <ATen/ATen.h>

#include <utility>

#include "halftone/core/error.hpp"
#include "halftone/evaluate/task.hpp"

namespace halftone {
namespace {

class FunctionTask final : public Task {
 public:
  FunctionTask(std::string name, TaskFunctions functions) : name_(std::move(name)), functions_(std::move(functions)) {}

  [[nodiscard]] std::string name() const override { return name_; }
  [[nodiscard]] std::string identity() const override {
    return functions_.options.empty() ? name_ : message(name_, ' ', functions_.options);
  }

 private:
  void do_check(const std::vector<at::Tensor>& outputs, const Dataset& data) const override {
    if (!data.targets().defined())
      throw Error(Errc::InvalidArgument, message(name_, ": ", data.name(), " has no targets to score against"));
    if (functions_.check) functions_.check(outputs, data);
  }

  [[nodiscard]] at::Tensor do_score(const std::vector<at::Tensor>& outputs, const at::Tensor& targets) const override {
    const at::Tensor scores = numbers(functions_.score(outputs, targets));
    if (scores.defined() && !scores.isfinite().all().item<bool>())
      throw Error(Errc::NonFinite, message("task ", name_, " scored a sample with NaN or infinity"));
    return scores;
  }

  [[nodiscard]] std::optional<ScoreRange> do_score_range() const override { return functions_.score_range; }

  [[nodiscard]] at::Tensor do_damage(const std::vector<at::Tensor>& outputs,
                                     const std::vector<at::Tensor>& clean) const override {
    if (functions_.damage) return numbers(functions_.damage(outputs, clean));
    return response(outputs, clean).square().sum(1) / 2;  // as `Task::response` says
  }

  static at::Tensor numbers(const at::Tensor& given) { return given.defined() ? given.to(at::kDouble) : given; }

  std::string name_;
  TaskFunctions functions_;
};

}  // namespace

std::unique_ptr<Task> make_task(std::string name, TaskFunctions functions) {
  if (name.empty()) throw Error(Errc::InvalidArgument, "a task needs a name");
  if (!functions.score)
    throw Error(Errc::InvalidArgument,
                message("task ", name, " has no function that scores: give TaskFunctions.score"));
  return std::make_unique<FunctionTask>(std::move(name), std::move(functions));
}

}  // namespace halftone
