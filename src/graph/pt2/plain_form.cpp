#include "graph/pt2/plain_form.hpp"

#include "graph/pt2/codes.hpp"

namespace halftone::internal::pt2 {

namespace {

c10::OperatorHandle operator_of(const char* name) { return c10::Dispatcher::singleton().findSchemaOrThrow(name, ""); }

/// Whether only the first result is read. torch.export names the others "…_unused_1".
bool reads_first_only(const JsonField& outputs) {
  std::size_t index = 0;
  bool others = false;
  outputs.each_element([&](const JsonField& output) {
    if (index++ == 0) return;
    const Tagged value = tagged(output);
    others =
        others || value.tag != "as_tensor" || value.value.need("name").text().find("_unused_") == std::string::npos;
  });
  return !others;
}

bool swaps_matrix(const Term& dimensions) {
  return dimensions.constant.isIntList() && dimensions.constant.toIntVector() == std::vector<std::int64_t>{1, 0};
}

}  // namespace

void use_plain_form(c10::OperatorHandle& op, std::vector<Term>& arguments, const JsonField& outputs) {
  if (!op.schema().overload_name().empty()) return;  // one that writes to further arguments
  const std::string& name = op.schema().name();
  if (name == "aten::lift_fresh_copy") {
    op = operator_of("aten::clone");
    arguments.push_back(constant_term({}));  // any memory format
  } else if (name == "aten::permute" && swaps_matrix(arguments[1])) {
    op = operator_of("aten::t");
    arguments.resize(1);
  } else if (name == "aten::native_layer_norm" && reads_first_only(outputs)) {
    op = operator_of("aten::layer_norm");
    arguments.push_back(constant_term(true));  // cudnn_enable
  } else if (name == "aten::max_pool2d_with_indices" && reads_first_only(outputs)) {
    op = operator_of("aten::max_pool2d");
  } else if (name == "aten::_native_batch_norm_legit_no_training" && reads_first_only(outputs)) {
    op = operator_of("aten::batch_norm");
    arguments.insert(arguments.begin() + 5, constant_term(false));  // training
    arguments.push_back(constant_term(true));                       // cudnn_enabled
  }
}

}  // namespace halftone::internal::pt2
