#include "halftone/graph/graph.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "halftone/core/error.hpp"

namespace halftone {

namespace {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

std::string value_name(const Graph& graph, ValueId id) {
  const auto& name = graph.values[static_cast<std::size_t>(id)].name;
  return name.empty() ? message('%', id) : name;
}

/// "2B+1", "B*L", "-L+4".
std::string text(SymInt number) {
  std::string result;
  const auto add = [&](std::int64_t factor, const char* symbol) {
    if (factor == 0) return;
    if (factor > 0 && !result.empty()) result += '+';
    if (*symbol == '\0' || (factor != 1 && factor != -1))
      result += std::to_string(factor);
    else if (factor == -1)
      result += '-';
    result += symbol;
  };
  add(number.both, "B*L");
  add(number.batch, "B");
  add(number.length, "L");
  add(number.offset, "");
  return result.empty() ? "0" : result;
}

/// The shortest digits that read back as the same number: graphs that differ must print differently.
std::string text(double number) {
  std::array<char, 32> digits{};
  return {digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr};
}

template <class Items, class Format>
std::string list(const Items& items, const Format& format) {
  std::string result;
  for (const auto& item : items) result += (result.empty() ? "" : ", ") + format(item);
  return '[' + result + ']';
}

std::string text(const Graph& graph, const Argument& argument) {
  return std::visit(
      Overloaded{
          [](None) { return std::string("None"); },
          [&](ValueRef ref) { return value_name(graph, ref.id); },
          [&](const std::vector<std::optional<ValueId>>& ids) {
            return list(ids, [&](auto id) { return id ? value_name(graph, *id) : std::string("None"); });
          },
          [](SymInt number) { return text(number); },
          [](const std::vector<SymInt>& numbers) { return list(numbers, [](SymInt n) { return text(n); }); },
          [](double number) { return text(number); },
          [](const std::vector<double>& numbers) { return list(numbers, [](double n) { return text(n); }); },
          [](bool flag) { return std::string(flag ? "true" : "false"); },
          [](const std::vector<bool>& flags) {
            return list(flags, [](bool flag) { return std::string(flag ? "true" : "false"); });
          },
          [](const std::string& string) { return '"' + string + '"'; },
          [](ModelDevice) { return std::string("device"); },
      },
      argument);
}

void append_values(const Argument& argument, std::vector<ValueId>& ids) {
  if (const auto* ref = std::get_if<ValueRef>(&argument)) ids.push_back(ref->id);
  if (const auto* refs = std::get_if<std::vector<std::optional<ValueId>>>(&argument))
    for (const auto id : *refs)
      if (id) ids.push_back(*id);
}

}  // namespace

std::vector<std::int64_t> sizes_at(const Shape& shape, const Sizes& sizes) {
  std::vector<std::int64_t> numbers;
  for (const SymInt& size : shape) numbers.push_back(size.at(sizes));
  return numbers;
}

bool is_zero(const Argument& argument) {
  if (const auto* real = std::get_if<double>(&argument)) return *real == 0;
  const auto* integer = std::get_if<SymInt>(&argument);
  return std::holds_alternative<None>(argument) || (integer != nullptr && *integer == SymInt{});
}

std::vector<ValueId> read_values(const Node& node) {
  std::vector<ValueId> ids;
  for (const auto& argument : node.arguments) append_values(argument, ids);
  return ids;
}

std::vector<ValueId> written_values(const Node& node) {
  std::vector<ValueId> ids;
  for (const auto index : node.written) append_values(node.arguments[index], ids);
  return ids;
}

bool is_needed(const Node& node, const std::vector<bool>& live) {
  if (!node.written.empty()) return true;
  for (const auto& output : node.outputs)
    for (const auto id : output.ids)
      if (live[static_cast<std::size_t>(id)]) return true;
  return false;
}

std::vector<bool> live_values(const Graph& graph) {
  std::vector<bool> live(graph.values.size());
  const auto mark = [&](ValueId id) { live[static_cast<std::size_t>(id)] = true; };
  std::for_each(graph.outputs.begin(), graph.outputs.end(), mark);
  std::for_each(graph.inputs.begin(), graph.inputs.end(), mark);
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
    if (!is_needed(*node, live)) continue;
    for (const auto id : read_values(*node)) mark(id);
    for (const auto& output : node->outputs) std::for_each(output.ids.begin(), output.ids.end(), mark);
  }
  return live;
}

Sizes find_sizes(const Graph& graph, std::span<const std::vector<std::int64_t>> shapes) {
  Sizes sizes{.batch = shapes.empty() || shapes[0].empty() ? 0 : shapes[0][0]};
  for (std::size_t i = 0; i < std::min(shapes.size(), graph.inputs.size()); ++i) {
    const Shape& shape = graph.values[static_cast<std::size_t>(graph.inputs[i])].shape;
    for (std::size_t k = 0; k < std::min(shape.size(), shapes[i].size()); ++k)
      if (shape[k] == SymInt{.length = 1}) sizes.length = shapes[i][k];
  }
  return sizes;
}

void require_batch(const Graph& graph, std::int64_t batch) {
  std::string sizes;
  for (const ValueId id : graph.inputs) {
    const Shape& shape = graph.values[static_cast<std::size_t>(id)].shape;
    if (std::any_of(shape.begin(), shape.end(), [](const SymInt& size) { return size.batch != 0 || size.both != 0; }))
      return;
    if (!shape.empty() && shape[0].offset == batch) return;
    sizes += (sizes.empty() ? "" : ", ") + list(shape, [](SymInt size) { return text(size); });
  }
  if (batch == 1 || sizes.empty()) return;
  throw Error(Errc::InvalidArgument,
              message("a batch of ", batch, " was asked for, and the network was captured for inputs of ", sizes,
                      " alone: take the batch size that it was captured at, or capture it with dynamic_batch"));
}

void replace_value(Graph& graph, ValueId from, ValueId to) {
  for (auto& node : graph.nodes) {
    for (auto& argument : node.arguments) {
      if (auto* ref = std::get_if<ValueRef>(&argument); ref && ref->id == from) ref->id = to;
      if (auto* refs = std::get_if<std::vector<std::optional<ValueId>>>(&argument))
        std::replace(refs->begin(), refs->end(), std::optional(from), std::optional(to));
    }
  }
  std::replace(graph.outputs.begin(), graph.outputs.end(), from, to);
}

std::string to_string(const Graph& graph) {
  std::string result;
  for (const auto id : graph.inputs) {
    const auto& value = graph.values[static_cast<std::size_t>(id)];
    result += message(value_name(graph, id), ": ", info(value.dtype).name, ' ',
                      list(value.shape, [](SymInt n) { return text(n); }), '\n');
  }
  for (const auto& node : graph.nodes) {
    std::string outputs;
    for (const auto& output : node.outputs) {
      const auto names = list(output.ids, [&](ValueId id) { return value_name(graph, id); });
      outputs += (outputs.empty() ? "" : ", ") + (output.is_list ? names : names.substr(1, names.size() - 2));
    }
    const auto arguments = list(node.arguments, [&](const Argument& argument) { return text(graph, argument); });
    result += message(outputs, " = ", node.op, node.overload.empty() ? "" : ".", node.overload, '(',
                      arguments.substr(1, arguments.size() - 2), ")\n");
  }
  return result + "return " + list(graph.outputs, [&](ValueId id) { return value_name(graph, id); }) + '\n';
}

std::string describe_place(const Graph& graph, std::size_t index) {
  std::string after;
  for (std::size_t i = 0; i < std::min(index + 1, graph.nodes.size()); ++i)
    for (const auto id : read_values(graph.nodes[i])) {
      const auto& value = graph.values[static_cast<std::size_t>(id)];
      if (value.kind != ValueKind::Parameter) continue;
      const auto dot = value.name.rfind('.');
      after = dot == std::string::npos ? value.name : value.name.substr(0, dot);
    }
  return message("operator ", index + 1, after.empty() ? ", before any parameter" : ", after \"" + after + '"');
}

}  // namespace halftone
