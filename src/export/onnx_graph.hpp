#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace halftone::internal {

/// Element types of ONNX tensors, by their numbers in the standard.
enum class OnnxType : std::int32_t {
  Float32 = 1,
  UInt8 = 2,
  Int8 = 3,
  Int16 = 5,
  Int32 = 6,
  Int64 = 7,
  Bool = 9,
  Float16 = 10,
  Float64 = 11,
  BFloat16 = 16,
  UInt4 = 21,
  Int4 = 22,
};

/// A dimension: a size, or a name for one that is known at run time.
using OnnxDim = std::variant<std::int64_t, std::string>;

/// An attribute of an operator.
using OnnxAttribute = std::variant<std::int64_t, float, std::string, std::vector<std::int64_t>>;

struct OnnxNode {
  std::string op;                   ///< "Conv"
  std::string name;                 ///< unique in the graph
  std::vector<std::string> inputs;  ///< "" for an input that is left out
  std::vector<std::string> outputs;
  std::vector<std::pair<std::string, OnnxAttribute>> attributes{};
};

/// Writes one ONNX model (IR version 8 and later), piece by piece, in execution order. Source: the ONNX project,
/// onnx.proto: field numbers below are those of its messages.
class OnnxGraph {
 public:
  void add_input(std::string_view name, OnnxType type, std::span<const OnnxDim> shape);
  void add_output(std::string_view name, OnnxType type, std::span<const OnnxDim> shape);
  void add_node(const OnnxNode& node);
  /// `bytes` are the elements, little-endian, row-major; 4-bit types hold two elements a byte, the first one low.
  void add_initializer(std::string_view name, OnnxType type, std::span<const std::int64_t> shape,
                       std::span<const std::byte> bytes);

  /// Bytes so far, which the file has and a little more.
  [[nodiscard]] std::size_t size() const {
    return nodes_.size() + inputs_.size() + outputs_.size() + initializers_.size();
  }

  /// The whole file. `notes` become its metadata.
  [[nodiscard]] std::string model(std::string_view name, int opset,
                                  const std::map<std::string, std::string>& notes) const;

 private:
  std::string nodes_;
  std::string inputs_;
  std::string outputs_;
  std::string initializers_;
};

}  // namespace halftone::internal
