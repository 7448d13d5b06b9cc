#include "graph/pt2/dimensions.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <regex>

#include "core/scalar_type.hpp"
#include "graph/pt2/codes.hpp"

namespace halftone::internal::pt2 {

namespace {

constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();

/// "s0" for "Symbol('s0', positive=True, integer=True)", inside of longer expressions too.
std::string shortened_symbols(const std::string& text) {
  static const std::regex symbol("Symbol\\('(\\w{1,64})'[^)]{0,100}\\)");
  return std::regex_replace(text, symbol, "$1");
}

ProgramDimension read_dimension(const JsonField& field, const Ranges& ranges) {
  const Tagged size = tagged(field);
  ProgramDimension dimension;
  if (size.tag == "as_int") {
    dimension.size = size.value.integer(0);
    return dimension;
  }
  if (size.tag != "as_expr") field.fail("a size is {\"as_int\": …} or {\"as_expr\": …}");
  dimension.symbol = shortened_symbols(size.value.need("expr_str").text());
  if (const auto range = ranges.find(dimension.symbol); range != ranges.end())
    std::tie(dimension.least, dimension.most) = range->second;
  const auto hint = size.value.find("hint");
  dimension.size = hint ? tagged(*hint).value.integer(0) : std::clamp<std::int64_t>(2, dimension.least, dimension.most);
  return dimension;
}

/// "[N (2 to 8), 3, 32]".
std::string form_of(const ProgramInput& input) {
  std::string text;
  for (const auto& dimension : input.sizes) {
    text += text.empty() ? "" : ", ";
    text += dimension.is_dynamic() ? shortened(dimension.symbol, 30) : message(dimension.size);
    if (dimension.least > 0 || dimension.most != kNoLimit)
      text += message(" (", dimension.least, " to ", dimension.most == kNoLimit ? "any" : message(dimension.most), ")");
  }
  return message(info(input.dtype).name, " [", text, "]");
}

class Checker {
 public:
  void check(const ProgramInput& input, const at::Tensor& tensor, at::Device device) {
    if (!tensor.defined()) refuse(input, "is undefined");
    const std::string given = message("is ", at::toString(tensor.scalar_type()), ' ', tensor.sizes());
    if (tensor.scalar_type() != to_scalar_type(input.dtype) || tensor.dim() != std::ssize(input.sizes))
      refuse(input, given);
    if (tensor.device() != device)
      refuse(input, message("is on device ", tensor.device(), ", the network on ", device));
    for (std::size_t i = 0; i < input.sizes.size(); ++i) {
      const ProgramDimension& wanted = input.sizes[i];
      const std::int64_t size = tensor.size(static_cast<std::int64_t>(i));
      if (wanted.is_dynamic() ? size < wanted.least || size > wanted.most : size != wanted.size) refuse(input, given);
      if (!wanted.is_dynamic()) continue;
      const auto [known, is_new] = sizes_.emplace(wanted.symbol, size);
      if (!is_new && known->second != size)
        refuse(input, message(given, ", and ", shortened(wanted.symbol, 30), " was ", known->second, " before"));
    }
  }

 private:
  [[noreturn]] static void refuse(const ProgramInput& input, const std::string& what) {
    throw Error(Errc::InvalidArgument,
                message("input \"", shortened(input.name), "\" ", what, ": the program takes ", form_of(input)));
  }

  std::map<std::string, std::int64_t> sizes_;  ///< by symbol
};

}  // namespace

Ranges read_ranges(const JsonField& field) {
  Ranges ranges;
  field.each_member([&](const std::string& symbol, const JsonField& range) {
    const auto least = range.find("min_val");
    const auto most = range.find("max_val");
    auto& [from, to] = ranges[symbol];
    from = least ? std::max<std::int64_t>(0, integer_of(*least)) : 0;
    to = most ? most->integer(0) : kNoLimit;
    if (from > to) range.fail("the least value is above the most");
    if (from <= 2) from = 0;  // an assumption of the export, see ProgramDimension
  });
  return ranges;
}

ProgramInput read_input(std::string name, const JsonField& meta, const Ranges& ranges) {
  ProgramInput input;
  input.name = std::move(name);
  input.dtype = dtype_of(meta.need("dtype"));
  meta.need("sizes").each_element([&](const JsonField& size) { input.sizes.push_back(read_dimension(size, ranges)); });
  return input;
}

void check_inputs(std::span<const ProgramInput> inputs, std::span<const at::Tensor> tensors, at::Device device) {
  if (inputs.size() != tensors.size()) {
    std::string names;
    for (const auto& input : inputs) names += message(names.empty() ? "" : ", ", shortened(input.name));
    throw Error(Errc::InvalidArgument,
                message("the program takes ", inputs.size(), " inputs (", names, "), got ", tensors.size()));
  }
  Checker checker;
  for (std::size_t i = 0; i < inputs.size(); ++i) checker.check(inputs[i], tensors[i], device);
}

}  // namespace halftone::internal::pt2
