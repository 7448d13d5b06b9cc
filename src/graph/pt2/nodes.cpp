#include "graph/pt2/nodes.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <string_view>

#include "graph/pt2/codes.hpp"
#include "graph/pt2/number_operators.hpp"
#include "graph/pt2/plain_form.hpp"

namespace halftone::internal::pt2 {

namespace {

using torch::jit::Stack;

Term slot_term(std::size_t slot) {
  Term term;
  term.kind = Term::Kind::Slot;
  term.slot = slot;
  return term;
}

/// The name in a single result or operand, a tensor or a symbolic number; nothing for plain values.
std::optional<JsonField> name_of(const JsonField& argument) {
  const Tagged value = tagged(argument);
  if (value.tag == "as_tensor") return value.value.need("name");
  if (!value.tag.starts_with("as_sym_")) return std::nullopt;
  const Tagged number = tagged(value.value);
  return number.tag == "as_name" ? std::optional(number.value) : std::nullopt;
}

/// The results of an operator that returns that many; what it returns beyond the file's list is not read.
std::vector<Returned> read_results(const JsonField& outputs, Scope& scope, std::size_t returns) {
  std::vector<Returned> results;
  outputs.each_element([&](const JsonField& output) {
    const Tagged value = tagged(output);
    if (value.tag == "as_none" || results.size() == returns) return;
    Returned& result = results.emplace_back();
    result.is_list = value.tag == "as_tensors";
    if (result.is_list)
      value.value.each_element([&](const JsonField& item) { result.slots.push_back(scope.define(item.need("name"))); });
    else if (const auto name = name_of(output))
      result.slots.push_back(scope.define(*name));
    else
      output.fail("a result is a tensor, a list of tensors or a symbolic number");
  });
  if (results.empty()) results.resize(returns);
  return results;
}

/// All names in a list of results.
std::vector<JsonField> names_in(const JsonField& outputs) {
  std::vector<JsonField> names;
  outputs.each_element([&](const JsonField& output) {
    const Tagged value = tagged(output);
    if (value.tag == "as_tensors")
      value.value.each_element([&](const JsonField& item) { names.push_back(item.need("name")); });
    else if (const auto name = name_of(output))
      names.push_back(*name);
  });
  return names;
}

void require_condition(Stack& stack) {
  const bool holds = stack[0].isBool() ? stack[0].toBool() : stack[0].toScalar().toDouble() != 0;
  if (!holds)
    throw Error(Errc::InvalidArgument,
                message("inputs of these sizes are not allowed: ", shortened(stack[1].toStringRef(), 400)));
  stack.clear();
}

void require_range(Stack& stack) {
  const std::int64_t size = stack[0].toInt();
  if ((stack[1].isInt() && size < stack[1].toInt()) || (stack[2].isInt() && size > stack[2].toInt()))
    throw Error(Errc::InvalidArgument,
                message("a size is ", size, ", and ", stack[1], " to ", stack[2], " are allowed"));
  stack.clear();
}

void set_grad_mode(Stack& stack) {
  const bool before = at::GradMode::is_enabled();
  at::GradMode::set_enabled(stack[0].toBool());
  stack.assign(1, before);
}

/// Whether a normalization computes with, and updates, running statistics: what it does in training mode.
bool trains(const Step& step, const c10::FunctionSchema& schema) {
  for (const char* const flag : {"training", "train", "use_input_stats"})
    if (const auto index = schema.argumentIndexWithName(flag)) {
      const c10::IValue& value = step.arguments[static_cast<std::size_t>(*index)].constant;
      return value.isBool() && value.toBool();
    }
  return false;
}

}  // namespace

void NodeReader::read(const JsonField& nodes, Scope& scope) {
  nodes.each_element([&](const JsonField& node) { read_node(node, scope); });
}

void NodeReader::read_node(const JsonField& node, Scope& scope) {
  const std::string target = node.need("target").text();
  const auto name = node.find("name");
  target_.text = target;
  target_.place =
      message("node ", name ? message('"', shortened(name->text()), "\" ") : "", '(', shortened(target), ')');
  if (target == "torch.ops.higher_order.wrap_with_set_grad_enabled") return add_grad_region(node, scope);
  if (target.starts_with("torch.ops.higher_order."))
    target_.refuse(
        "operators that call functions (control flow, autocast, flex attention) are not known: rewrite this part "
        "without, for torch.cond by torch.where");
  if (!target.starts_with("torch.ops.")) return add_number(node, scope);
  // Types and devices of what is computed follow from those of the inputs, which `run` checks.
  if (target.starts_with("torch.ops.aten._assert_tensor_metadata.")) return;
  if (target == "torch.ops.aten._assert_scalar.default")
    return add_check(node, {"self", "assert_msg"}, require_condition, scope);
  if (target.starts_with("torch.ops.aten.sym_constrain_range"))
    return add_check(node, {"size", "min", "max"}, require_range, scope);
  add_call(node, scope);
}

void NodeReader::add_check(const JsonField& node, const std::vector<const char*>& names, void (*check)(Stack&),
                           const Scope& scope) {
  Step step;
  step.place = target_.place;
  step.call = check;
  for (const char* const name : names) {
    const auto argument = find_input(node.need("inputs"), name);
    step.arguments.push_back(argument ? read_term(*argument, nullptr, scope) : constant_term({}));
  }
  program_.steps.push_back(std::move(step));
}

void NodeReader::add_number(const JsonField& node, Scope& scope) {
  NumberOperator operation = find_number_operator(target_.text);
  if (!operation) target_.refuse("the operator is not known: rewrite this part with tensor operators");
  Step step;
  step.place = target_.place;
  step.call = [operation = std::move(operation)](Stack& stack) { stack.assign(1, operation(stack)); };
  node.need("inputs").each_element(
      [&](const JsonField& input) { step.arguments.push_back(read_term(input.need("arg"), nullptr, scope)); });
  step.results = read_results(node.need("outputs"), scope, 1);
  program_.steps.push_back(std::move(step));
}

void NodeReader::add_call(const JsonField& node, Scope& scope) {
  const JsonField inputs = node.need("inputs");
  const JsonField outputs = node.need("outputs");
  c10::OperatorHandle op = find_operator(target_, inputs, namespaces_);
  Step step;
  step.place = target_.place;
  step.arguments = read_arguments(op.schema(), inputs, scope);
  const bool copies_constant = op.schema().name() == "aten::lift_fresh_copy";
  // What is written to such a copy is only that it has no gradient, which it has not anyway.
  if (op.schema().name() == "aten::detach_" && copies_.contains(step.arguments[0].slot))
    op = c10::Dispatcher::singleton().findSchemaOrThrow("aten::detach", "");
  use_plain_form(op, step.arguments, outputs);
  const std::size_t returns = op.schema().returns().size();
  step.results = read_results(outputs, scope, returns);
  if (step.results.size() != returns) outputs.fail(message(op.schema().name(), " has ", returns, " results"));
  for (std::size_t i = 0; i < returns; ++i) {
    const bool gives_list = op.schema().returns()[i].type()->kind() == c10::TypeKind::ListType;
    if (!step.results[i].slots.empty() && step.results[i].is_list != gives_list)
      outputs.fail(gives_list ? "a list of tensors is needed" : "a single tensor is needed");
  }
  check_writes(step, op.schema());
  if (copies_constant) copies_.insert(step.results[0].slots.begin(), step.results[0].slots.end());
  step.call = [op](Stack& stack) { op.callBoxed(stack); };
  program_.steps.push_back(std::move(step));
}

/// Refuses steps that write to the network, and notes results that share its memory.
void NodeReader::check_writes(const Step& step, const c10::FunctionSchema& schema) {
  const bool is_training = trains(step, schema);
  bool shares_data = false;
  for (std::size_t i = 0; i < step.arguments.size(); ++i) {
    const auto& argument = schema.arguments()[i];
    const auto slots = read_slots(step.arguments[i]);
    if (std::none_of(slots.begin(), slots.end(), [&](auto slot) { return data_.contains(slot); })) continue;
    const auto* const alias = argument.alias_info();
    if ((alias != nullptr && alias->isWrite()) || (is_training && argument.name() == "running_mean"))
      target_.refuse(
          "it writes to a parameter, buffer or constant, so every pass would change the network: export the module in "
          "eval mode, or let it write to a copy");
    shares_data = shares_data || alias != nullptr;
  }
  if (!shares_data) return;
  for (const Returned& result : step.results) data_.insert(result.slots.begin(), result.slots.end());
}

std::size_t NodeReader::add_grad_mode(Term enabled, Scope& scope) {
  const std::size_t before = scope.add();
  Step step;
  step.place = target_.place;
  step.call = set_grad_mode;
  step.arguments.push_back(std::move(enabled));
  step.results.push_back({false, {before}});
  program_.steps.push_back(std::move(step));
  return before;
}

/// A part under torch.no_grad, or enable_grad, in place. What a part without gradients gives is detached, so that it
/// has none in a capture either.
void NodeReader::add_grad_region(const JsonField& node, Scope& scope) {
  std::vector<JsonField> inputs;
  node.need("inputs").each_element([&](const JsonField& input) { inputs.push_back(input.need("arg")); });
  if (inputs.size() < 2) node.need("inputs").fail("a mode and a graph are needed");
  const bool enabled = inputs[0].need("as_bool").truth();
  const JsonField graph = inputs[1].need("as_graph").need("graph");
  Scope inner = scope.inner();
  std::size_t operand = 2;
  graph.need("inputs").each_element([&](const JsonField& input) {
    if (operand == inputs.size()) input.fail("the call has no argument for it");
    const auto given = name_of(inputs[operand++]);
    if (const auto name = name_of(input); name && given) inner.define(*name, scope.at(*given));
  });
  const Target target = target_;
  const std::size_t before = add_grad_mode(constant_term(enabled), scope);
  read(graph.need("nodes"), inner);
  target_ = target;
  add_grad_mode(slot_term(before), scope);
  const std::vector<JsonField> computed = names_in(graph.need("outputs"));
  const std::vector<JsonField> names = names_in(node.need("outputs"));
  if (names.size() != computed.size()) node.need("outputs").fail("the graph gives another number of results");
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (enabled)
      scope.define(names[i], inner.at(computed[i]));
    else
      add_detached(inner.at(computed[i]), names[i], scope);
  }
}

void NodeReader::add_detached(std::size_t slot, const JsonField& name, Scope& scope) {
  Step step;
  step.place = target_.place;
  step.call = [](Stack& stack) {
    if (stack[0].isTensor()) stack[0] = stack[0].toTensor().detach();
  };
  step.arguments.push_back(slot_term(slot));
  step.results.push_back({false, {scope.define(name)}});
  program_.steps.push_back(std::move(step));
}

}  // namespace halftone::internal::pt2
