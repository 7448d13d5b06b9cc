#include "graph/pt2/operators.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace halftone::internal::pt2 {

namespace {

/// Operators of LibTorch that reach outside the network: to files, to what is printed.
constexpr std::array<std::string_view, 2> kForbidden{"aten::from_file", "aten::_print"};

std::optional<c10::OperatorHandle> find_schema(const std::string& name, const std::string& overload) {
  return c10::Dispatcher::singleton().findSchema({name, overload});
}

/// PyTorch takes plain numbers where tensors are needed. Where the operator has a form for numbers, that one runs.
c10::OperatorHandle number_form(const c10::OperatorHandle& op, const JsonField& inputs) {
  constexpr std::string_view kTensor = "Tensor";
  std::string overload = op.schema().overload_name();
  const auto at = overload.find(kTensor);
  const auto other = find_input(inputs, "other");
  if (at == overload.npos || !other || !is_number(*other)) return op;
  const auto form = find_schema(op.schema().name(), overload.replace(at, kTensor.size(), "Scalar"));
  if (!form) return op;
  const auto& ours = op.schema().arguments();
  const auto& theirs = form->schema().arguments();
  const auto same_name = [](const c10::Argument& a, const c10::Argument& b) { return a.name() == b.name(); };
  return std::equal(ours.begin(), ours.end(), theirs.begin(), theirs.end(), same_name) ? *form : op;
}

}  // namespace

void Target::refuse(const std::string& why) const {
  throw Error(Errc::Unsupported, message("cannot run ", place, ": ", why));
}

c10::OperatorHandle find_operator(const Target& target, const JsonField& inputs,
                                  const std::vector<std::string>& namespaces) {
  const std::string path = target.text.substr(target.text.find("ops.") + 4);
  const auto first = path.find('.');
  const auto last = path.rfind('.');
  if (first == path.npos || first == last) target.refuse("an operator is named torch.ops.SPACE.NAME.OVERLOAD");
  const std::string space = path.substr(0, first);
  const std::string name = message(space, "::", path.substr(first + 1, last - first - 1));
  const std::string overload = path.substr(last + 1);
  if (std::find(namespaces.begin(), namespaces.end(), space) == namespaces.end())
    target.refuse(
        message("only LibTorch's own operators (aten) may run. Where this one's library is loaded and may "
                "run with any arguments, name \"",
                shortened(space), "\" in LoadOptions::namespaces"));
  if (std::find(kForbidden.begin(), kForbidden.end(), name) != kForbidden.end())
    target.refuse("it reaches outside the network");
  const auto op = find_schema(name, overload == "default" ? "" : overload);
  if (!op || op->schema().is_vararg() || op->schema().is_varret())
    target.refuse("this LibTorch has no such operator: was the network exported with a newer PyTorch?");
  return number_form(*op, inputs);
}

std::optional<JsonField> find_input(const JsonField& inputs, const std::string& name) {
  std::optional<JsonField> found;
  inputs.each_element([&](const JsonField& input) {
    if (input.need("name").text_or_empty() != name) return;
    if (found) input.fail("no other argument may have its name");
    found.emplace(input.need("arg"));
  });
  return found;
}

std::vector<Term> read_arguments(const c10::FunctionSchema& schema, const JsonField& inputs, const Scope& scope) {
  std::vector<Term> terms;
  for (const auto& argument : schema.arguments()) {
    if (const auto given = find_input(inputs, argument.name()))
      terms.push_back(read_term(*given, argument.type(), scope, argument.N().value_or(1)));
    else if (argument.default_value())
      terms.push_back(constant_term(*argument.default_value()));
    else
      inputs.fail(message("argument \"", argument.name(), "\" of ", schema.name(), " is missing"));
  }
  inputs.each_element([&](const JsonField& input) {
    if (!schema.argumentIndexWithName(input.need("name").text()))
      input.need("name").fail(message(schema.name(), " has no argument of this name"));
  });
  return terms;
}

Term constant_term(const c10::IValue& value) {
  Term term;
  term.constant = value;
  return term;
}

}  // namespace halftone::internal::pt2
