#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "halftone/graph/graph.hpp"

namespace halftone::internal {

/// What splitting an operator asks of its node.
class NodeView {
 public:
  /// Borrows all. `is_split` is by value.
  NodeView(const Graph& graph, const Node& node, const std::vector<bool>& is_split)
      : graph_(graph), node_(node), is_split_(is_split) {}

  [[nodiscard]] const Node& node() const { return node_; }
  [[nodiscard]] const std::string& op() const { return node_.op; }
  [[nodiscard]] const Shape& shape(ValueId id) const { return graph_.values[static_cast<std::size_t>(id)].shape; }
  [[nodiscard]] bool is_split(ValueId id) const { return is_split_[static_cast<std::size_t>(id)]; }
  [[nodiscard]] std::vector<ValueId> reads() const { return read_values(node_); }
  [[nodiscard]] std::vector<ValueId> results() const {
    std::vector<ValueId> ids;
    for (const Output& output : node_.outputs) ids.insert(ids.end(), output.ids.begin(), output.ids.end());
    return ids;
  }
  /// Of argument 0, where it is a tensor.
  [[nodiscard]] std::optional<ValueId> image() const {
    const auto* ref = node_.arguments.empty() ? nullptr : std::get_if<ValueRef>(&node_.arguments[0]);
    return ref == nullptr ? std::nullopt : std::optional(ref->id);
  }
  [[nodiscard]] std::int64_t image_rows() const { return shape(*image())[2].offset; }

  [[nodiscard]] bool has(std::size_t argument) const {
    return argument < node_.arguments.size() && !std::holds_alternative<None>(node_.arguments[argument]);
  }
  [[nodiscard]] std::int64_t integer(std::size_t argument, std::int64_t missing = 0) const {
    const auto* number = std::get_if<SymInt>(&node_.arguments[argument]);
    return number == nullptr ? missing : number->offset;
  }
  [[nodiscard]] bool flag(std::size_t argument) const {
    const auto* value = std::get_if<bool>(&node_.arguments[argument]);
    return value != nullptr && *value;
  }
  /// A list of numbers; empty where there is none.
  [[nodiscard]] std::vector<std::int64_t> integers(std::size_t argument) const {
    std::vector<std::int64_t> numbers;
    if (const auto* list = std::get_if<std::vector<SymInt>>(&node_.arguments[argument]))
      for (const SymInt number : *list) numbers.push_back(number.offset);
    return numbers;
  }
  /// Height and width: one number stands for both, none for `missing`.
  [[nodiscard]] std::vector<std::int64_t> extent(std::size_t argument, std::vector<std::int64_t> missing) const {
    auto numbers = integers(argument);
    if (numbers.empty()) numbers = std::move(missing);
    if (numbers.size() == 1) numbers.push_back(numbers[0]);
    return numbers;
  }
  /// A dimension of the image, counted from the front.
  [[nodiscard]] std::int64_t dimension(std::int64_t from_either_end) const {
    constexpr std::int64_t kDimensions = 4;
    return from_either_end + (from_either_end < 0 ? kDimensions : 0);
  }

 private:
  const Graph& graph_;
  const Node& node_;
  const std::vector<bool>& is_split_;
};

}  // namespace halftone::internal
