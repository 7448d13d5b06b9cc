#pragma once

#include <ATen/record_function.h>

#include <map>
#include <tuple>
#include <unordered_map>

#include "halftone/graph/capture.hpp"

namespace halftone::internal {

/// What LibTorch has to say, without the stack of its calls or, of TorchScript, its traceback.
std::string without_backtrace(const std::exception& error);

/// "[2, 3], [2]".
std::string shapes(const std::vector<at::Tensor>& tensors);

/// Builds a graph from the operators of one forward pass, seen through a thread-local RecordFunction callback. Only the
/// outermost operators count: what they call is theirs. Problems are kept, not thrown, since exceptions do not leave
/// callbacks.
class Recorder {
 public:
  Recorder(const std::vector<NamedTensor>& parameters, const std::vector<at::Tensor>& inputs,
           const CaptureOptions& options);

  /// Runs `forward` under observation and returns what it returned; throws for what cannot be captured.
  std::vector<at::Tensor> record(const ForwardFn& forward, const std::vector<at::Tensor>& inputs);

  /// The finished graph; storage of value k is `storages()[k]`, equal for values that share memory.
  Model take_model() { return std::move(model_); }
  [[nodiscard]] const std::vector<const void*>& storages() const { return storages_; }

 private:
  using TensorKey = std::tuple<const void*, std::int64_t, std::vector<std::int64_t>, std::vector<std::int64_t>, int>;

  static std::unique_ptr<at::ObserverContext> on_start(const at::RecordFunction& function);
  static void on_end(const at::RecordFunction& function, at::ObserverContext* context);

  void begin(const at::RecordFunction& function);
  void end(const at::RecordFunction& function);
  void check_operator(const c10::OperatorHandle& op, c10::ArrayRef<c10::IValue> inputs);
  /// Notes what the current operator writes to; refuses writes to the network itself.
  void check_writes(const c10::FunctionSchema& schema);
  /// Whether an indexing operator takes positions: masks would make the shape depend on the data.
  [[nodiscard]] bool indexes_by_number(const Node& node) const;
  void refuse(const std::string& op, const std::string& why);

  Argument to_argument(const c10::IValue& value, const std::string& op);
  ValueId add_value(ValueKind kind, std::string name, const at::Tensor& tensor);
  void identify(const at::Tensor& tensor, ValueId id);
  ValueId find_or_make_constant(const at::Tensor& tensor);
  ValueId add_result(const at::Tensor& tensor);

  const CaptureOptions& options_;
  Model model_;
  std::vector<const void*> storages_;
  std::vector<bool> from_input_;   ///< by value: depends on an input
  std::vector<at::Tensor> alive_;  ///< keeps every tensor seen, so that no address is used twice
  std::unordered_map<const void*, ValueId> by_impl_;
  std::map<TensorKey, ValueId> by_key_;
  std::string error_;
  int depth_ = 0;
  bool skip_ = false;         ///< the current operator is not part of the graph
  bool reads_input_ = false;  ///< an argument of the current operator depends on an input
  Node node_;
};

}  // namespace halftone::internal
