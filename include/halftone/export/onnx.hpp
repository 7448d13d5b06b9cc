#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "halftone/calibrate/calibration.hpp"
#include "halftone/core/plan.hpp"
#include "halftone/graph/model.hpp"

namespace halftone {

/// How operands of fewer than 8 bits are written.
enum class SubByte {
  Emulated,  ///< in 8-bit types that use 2^bits levels only: runs everywhere, with 8-bit kernels
  Native,    ///< in the standard's 4-bit types (opset 21); for widths of 4 bits only
};

struct OnnxOptions {
  std::optional<std::int64_t> batch{};  ///< samples a pass; where absent, a dimension named "batch"
  std::int64_t length = 0;              ///< of the inputs, where the graph leaves it open; 0: as captured
  SubByte sub_byte = SubByte::Emulated;
};

/// The network under `plan` as one ONNX file (opset 18; 21 with native 4-bit types). Operands of fewer than 16 bits
/// pass through QuantizeLinear and DequantizeLinear with the ranges of `calibration`, weights stored as integers, per
/// output channel; all else, operands of 16 bits included, is float32, for the engine to run in bfloat16 or as it
/// likes. The file's metadata names every site's precision and says which widths are emulated. Nodes of sites are named
/// after them. Prepared models only. Throws `Unsupported` naming operator and place, `InvalidArgument` as
/// `require_ranges` and `require_batch`. Source: the ONNX standard, operators QuantizeLinear and DequantizeLinear.
std::string to_onnx(const Model& model, const Plan& plan, const Calibration& calibration,
                    const OnnxOptions& options = {});

}  // namespace halftone
