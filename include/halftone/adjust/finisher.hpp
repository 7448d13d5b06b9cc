#pragma once

#include <string>

#include "halftone/adjust/record.hpp"
#include "halftone/calibrate/calibration.hpp"
#include "halftone/core/monitor.hpp"
#include "halftone/core/plan.hpp"
#include "halftone/data/dataset.hpp"
#include "halftone/evaluate/task.hpp"
#include "halftone/graph/model.hpp"

namespace halftone {

class Team;

/// What there is to fine-tune. Borrows all.
struct FinishContext {
  const Model& model;
  const Plan& plan;
  const Calibration& calibration;  ///< with the ranges that the plan needs
  const Dataset& training;
  const Task& task;
  Monitor monitor{};
  Team* team = nullptr;  ///< ranks that do it together; null: this process alone
};

/// A network that differs from another in the values of some tensors, and the ranges that fit it.
struct FinishedNetwork {
  Model model;  ///< shares the tensors that stayed; the same where nothing better was found
  Calibration calibration;
  FinishRecord record;
};

/// Fine-tunes the weights and ranges of a plan on training data. `make_finisher` (halftone/train/finish.hpp) is the one
/// that Halftone has. Const members may be called in parallel.
class Finisher {
 public:
  virtual ~Finisher() = default;

  /// All options that results depend on, in a line: ranks of a team must agree on them.
  [[nodiscard]] virtual std::string identity() const = 0;

  /// Throws as `require_ranges`, and `Internal` where what comes back is not this network with other values.
  [[nodiscard]] FinishedNetwork finish(const FinishContext& context) const;

 private:
  [[nodiscard]] virtual FinishedNetwork do_finish(const FinishContext& context) const = 0;
};

}  // namespace halftone
