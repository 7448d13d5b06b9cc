#include "graph/pt2/term.hpp"

#include <ATen/ATen.h>
#include <ATen/ScalarOps.h>

#include <optional>
#include <utility>

#include "core/scalar_type.hpp"
#include "graph/pt2/codes.hpp"

namespace halftone::internal::pt2 {

namespace {

using c10::IValue;
using c10::TypeKind;

/// The type without "optional".
c10::TypePtr required(const c10::TypePtr& type) {
  const auto optional = type->cast<c10::OptionalType>();
  return optional ? optional->getElementType() : type;
}

bool is_number(const IValue& value) { return value.isInt() || value.isDouble() || value.isBool(); }

/// `value` as a parameter of `type` takes it, as Python converts numbers; nothing where it does not fit.
std::optional<IValue> converted(const IValue& value, const c10::TypePtr& type) {
  if (value.isNone()) return type->kind() == TypeKind::OptionalType ? std::optional(value) : std::nullopt;
  const auto given = [&](bool fits) { return fits ? std::optional(value) : std::nullopt; };
  switch (required(type)->kind()) {
    case TypeKind::TensorType:
      if (is_number(value)) return at::native::wrapped_scalar_tensor(value.toScalar());
      return given(value.isTensor() && value.toTensor().defined());
    case TypeKind::FloatType:
      if (value.isInt()) return static_cast<double>(value.toInt());
      return given(value.isDouble());
    case TypeKind::IntType:
    case TypeKind::SymIntType:
      if (value.isBool()) return std::int64_t{value.toBool()};
      return given(value.isInt());
    case TypeKind::BoolType:
      return given(value.isBool());
    case TypeKind::NumberType:
      return given(is_number(value));
    case TypeKind::StringType:
      return given(value.isString());
    case TypeKind::DeviceObjType:
      return given(value.isDevice());
    default:
      return std::nullopt;
  }
}

IValue convert(const IValue& value, const c10::TypePtr& type) {
  if (type == nullptr) return value;
  if (auto result = converted(value, type)) return *std::move(result);
  throw Error(Errc::BadFile, message("an argument is of type ", value.tagKind(), ", and ", type->str(), " is needed"));
}

Term constant_term(const IValue& value, const c10::TypePtr& type, const JsonField& place) {
  try {
    Term term;
    term.constant = convert(value, type);
    return term;
  } catch (const Error& error) {
    throw Error(error.code(), message(place.place(), ": ", error.what()));
  }
}

Term slot_term(std::size_t slot, const c10::TypePtr& type) {
  Term term;
  term.kind = Term::Kind::Slot;
  term.slot = slot;
  term.type = type;
  return term;
}

IValue memory_format_of(const JsonField& field) {
  static constexpr std::array kFormats{at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast,
                                       at::MemoryFormat::ChannelsLast3d, at::MemoryFormat::Preserve};
  return static_cast<std::int64_t>(kFormats.at(static_cast<std::size_t>(field.integer(1, 4) - 1)));
}

IValue layout_of(const JsonField& field) {
  constexpr std::int64_t kStrided = 7;
  if (field.integer(0) == kStrided) return static_cast<std::int64_t>(at::kStrided);
  throw Error(Errc::Unsupported, message(field.place(), " is a sparse layout: only dense tensors are known"));
}

/// A plain value; nothing for tags that hold something else.
std::optional<IValue> read_value(const std::string& tag, const JsonField& value) {
  if (tag == "as_int") return integer_of(value);
  if (tag == "as_float") return real_of(value);
  if (tag == "as_bool") return value.truth();
  if (tag == "as_string") return value.text_or_empty();
  if (tag == "as_none") return IValue();
  if (tag == "as_scalar_type") return static_cast<std::int64_t>(to_scalar_type(dtype_of(value)));
  if (tag == "as_memory_format") return memory_format_of(value);
  if (tag == "as_layout") return layout_of(value);
  return std::nullopt;
}

/// The tag of a list's elements; empty for tags that hold no list.
std::string element_tag(const std::string& tag) {
  for (const char* const list : {"as_ints", "as_floats", "as_bools", "as_strings", "as_tensors", "as_optional_tensors",
                                 "as_sym_ints", "as_sym_floats", "as_sym_bools"})
    if (tag == list) return tag.substr(0, tag.size() - 1);
  return {};
}

/// Reads the values of one argument.
struct Reader {
  const Scope& scope;

  Term read(const std::string& tag, const JsonField& value, const c10::TypePtr& type, int length) const {
    const bool wants_list = type != nullptr && required(type)->kind() == TypeKind::ListType;
    const std::string element = element_tag(tag);
    if (!element.empty()) return read_list(element, value, type);
    if (wants_list && tag != "as_none") return repeat(tag, value, type, length);
    if (tag == "as_tensor") return slot_term(scope.at(value.need("name")), type);
    if (tag == "as_sym_int" || tag == "as_sym_float" || tag == "as_sym_bool" || tag == "as_optional_tensor") {
      const Tagged inner = tagged(value);
      if (inner.tag == "as_name") return slot_term(scope.at(inner.value), type);
      return read(inner.tag, inner.value, type, length);
    }
    if (tag == "as_device") {
      Term term;
      term.kind = Term::Kind::Device;
      return term;
    }
    if (const auto plain = read_value(tag, value)) return constant_term(*plain, type, value);
    throw Error(Errc::Unsupported, message(value.place(), ": arguments of kind \"", shortened(tag),
                                           "\" are not known: rewrite this part with tensors and plain numbers"));
  }

  /// A single value where a list is needed stands for all its elements.
  Term repeat(const std::string& tag, const JsonField& value, const c10::TypePtr& type, int length) const {
    Term list = empty_list(type, value);
    for (int i = 0; i < length; ++i) list.elements.push_back(read(tag, value, list.type, 1));
    return folded(std::move(list));
  }

  Term read_list(const std::string& element, const JsonField& value, const c10::TypePtr& type) const {
    Term list = empty_list(type, value);
    if (type == nullptr) list.type = c10::TensorType::get();
    value.each_element([&](const JsonField& item) { list.elements.push_back(read(element, item, list.type, 1)); });
    return folded(std::move(list));
  }

  static Term empty_list(const c10::TypePtr& type, const JsonField& value) {
    Term list;
    list.kind = Term::Kind::List;
    if (type == nullptr) return list;
    const auto list_type = required(type)->cast<c10::ListType>();
    if (!list_type) value.fail(message("a single value is needed, of type ", type->str()));
    list.type = list_type->getElementType();
    if (list.type->kind() == TypeKind::SymIntType) list.type = c10::IntType::get();
    return list;
  }

  /// A list of constants is a constant.
  static Term folded(Term list) {
    for (const Term& element : list.elements)
      if (element.kind != Term::Kind::Constant) return list;
    Term term;
    term.constant = list.in(Frame{});
    return term;
  }
};

}  // namespace

std::size_t Scope::define(const JsonField& name) {
  const std::size_t slot = add();
  define(name, slot);
  return slot;
}

void Scope::define(const JsonField& name, std::size_t slot) {
  if (!names_.emplace(name.text(), slot).second) name.fail("a value of this name was computed before");
}

std::size_t Scope::at(const JsonField& name) const {
  const auto found = names_.find(name.text());
  if (found == names_.end()) name.fail("no value of this name was computed before");
  return found->second;
}

IValue Term::in(const Frame& frame) const {
  switch (kind) {
    case Kind::Constant:
      return constant;
    case Kind::Slot:
      return convert(frame.values[slot], type);
    case Kind::Device:
      return frame.device;
    case Kind::List: {
      c10::impl::GenericList list(type);
      list.reserve(elements.size());
      for (const Term& element : elements) list.push_back(element.in(frame));
      return list;
    }
  }
  return {};
}

Term read_term(const JsonField& argument, const c10::TypePtr& type, const Scope& scope, int length) {
  const Tagged value = tagged(argument);
  return Reader{scope}.read(value.tag, value.value, type, length);
}

bool is_number(const JsonField& argument) {
  const std::string tag = tagged(argument).tag;
  for (const char* const number : {"as_int", "as_float", "as_bool", "as_sym_int", "as_sym_float", "as_sym_bool"})
    if (tag == number) return true;
  return false;
}

std::vector<std::size_t> read_slots(const Term& term) {
  if (term.kind == Term::Kind::Slot) return {term.slot};
  std::vector<std::size_t> slots;
  for (const Term& element : term.elements)
    for (const std::size_t slot : read_slots(element)) slots.push_back(slot);
  return slots;
}

}  // namespace halftone::internal::pt2
