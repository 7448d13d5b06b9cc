#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/libtorch/fusion.hpp"
#include "halftone/calibrate/calibration.hpp"
#include "halftone/core/plan.hpp"

namespace halftone::internal {

/// What a planned network does, in order.
struct Step {
  enum class Kind {
    Quantize,  ///< makes the uint8 copy `output` of `input` under `params`
    Convert,   ///< gives input `input` of the graph, which is floating, the network's own type and layout
    Site,      ///< runs `fused`
    Operator,  ///< runs node `node`
  };

  Kind kind = Kind::Operator;
  std::size_t node = 0;  ///< of the graph; of a Quantize, the node whose operand it makes
  ValueId input = 0;     ///< of a Quantize, Convert or Site; of an integer site the uint8 copy
  ValueId output = 0;    ///< of a Quantize or Site
  FusedSite fused{};
  SiteKernel kernel = SiteKernel::Operator;
  std::optional<QuantParams> params{};  ///< of a Quantize; of a Site or Operator that writes uint8
  /// (value of the graph, its uint8 copy): what an Operator on integers reads and writes instead.
  std::vector<std::pair<ValueId, ValueId>> renamed{};
};

/// A network under a plan, without tensors.
struct Schedule {
  /// The uint8 copy of a value. Its own id is the number of the graph's values plus its index.
  struct Copy {
    ValueId source;
    QuantParams params;
  };

  std::vector<Step> steps;
  std::vector<Copy> copies;
};

struct ScheduleOptions {
  bool fuse = true;     ///< activations and residuals into the sites before them
  bool keep_u8 = true;  ///< integers from one integer site to the next, where all readers agree
};

/// Which kernel runs what, what is fused, which values are uint8. A value that only integer sites read, all under the
/// same parameters, is written as uint8 by the integer site that makes it, and stays so through operators that move or
/// select values (max pooling, reshaping, slicing, concatenation). Any other operand of an integer site is quantized
/// once for all its readers, in front of the first of them. Throws `Unsupported` where an operator writes in place:
/// tensors lie in memory in another order than where the network was captured, so that a view there may be a copy here.
Schedule make_schedule(const Graph& graph, const std::vector<Site>& sites, const Plan& plan,
                       const Calibration& calibration, const ScheduleOptions& options = {});

/// One line a step, for tests and people: "quantize input", "left + add + relu (u8) -> u8", "max_pool2d (u8)".
std::string to_string(const Schedule& schedule, const Graph& graph, const std::vector<Site>& sites);

}  // namespace halftone::internal
