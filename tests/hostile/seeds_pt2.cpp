// Exported programs written by hand, and nodes that torch.export does not write.
#include <nlohmann/json.hpp>

#include "core/zip_bytes.hpp"
#include "hostile/seeds.hpp"

namespace hostile {

namespace {

using nlohmann::json;

/// Every kind of argument and of node that is read: y = split(relu(x w^T + b) * s, n)[0], under no_grad, for x [s, 2].
constexpr const char* kProgram = R"---({
  "schema_version": {"major": 8, "minor": 20},
  "range_constraints": {"s0": {"min_val": 2, "max_val": 64}},
  "graph_module": {
    "signature": {
      "input_specs": [
        {"parameter": {"arg": {"name": "p_w"}, "parameter_name": "fc.weight"}},
        {"parameter": {"arg": {"name": "p_b"}, "parameter_name": "fc.bias"}},
        {"tensor_constant": {"arg": {"name": "c"}, "tensor_constant_name": "one"}},
        {"user_input": {"arg": {"as_tensor": {"name": "x"}}}}],
      "output_specs": [{"user_output": {"arg": {"as_tensor": {"name": "part"}}}}]},
    "graph": {
      "tensor_values": {"x": {"dtype": 7, "sizes": [
        {"as_expr": {"expr_str": "Symbol('s0', positive=True, integer=True)", "hint": {"as_int": 2}}}, {"as_int": 2}]}},
      "nodes": [
        {"target": "torch.ops.aten.sym_size.int", "name": "size", "inputs": [
          {"name": "self", "arg": {"as_tensor": {"name": "x"}}}, {"name": "dim", "arg": {"as_int": 0}}],
          "outputs": [{"as_sym_int": {"as_name": "size"}}]},
        {"target": "_operator.add", "name": "add", "inputs": [
          {"name": "a", "arg": {"as_sym_int": {"as_name": "size"}}}, {"name": "b", "arg": {"as_int": 1}}],
          "outputs": [{"as_sym_int": {"as_name": "add"}}]},
        {"target": "torch.ops.aten.sym_constrain_range_for_size.default", "name": "range", "inputs": [
          {"name": "size", "arg": {"as_sym_int": {"as_name": "add"}}}, {"name": "min", "arg": {"as_int": 1}},
          {"name": "max", "arg": {"as_none": true}}], "outputs": []},
        {"target": "torch.ops.aten.lift_fresh_copy.default", "name": "lift", "inputs": [
          {"name": "self", "arg": {"as_tensor": {"name": "c"}}}], "outputs": [{"as_tensor": {"name": "lift"}}]},
        {"target": "torch.ops.aten.detach_.default", "name": "detach_", "inputs": [
          {"name": "self", "arg": {"as_tensor": {"name": "lift"}}}], "outputs": [{"as_tensor": {"name": "detach_"}}]},
        {"target": "torch.ops.aten.permute.default", "name": "permute", "inputs": [
          {"name": "self", "arg": {"as_tensor": {"name": "p_w"}}}, {"name": "dims", "arg": {"as_ints": [1, 0]}}],
          "outputs": [{"as_tensor": {"name": "permute"}}]},
        {"target": "torch.ops.aten.addmm.default", "name": "linear", "inputs": [
          {"name": "self", "arg": {"as_tensor": {"name": "p_b"}}},
          {"name": "mat1", "arg": {"as_tensor": {"name": "x"}}},
          {"name": "mat2", "arg": {"as_tensor": {"name": "permute"}}},
          {"name": "beta", "arg": {"as_int": 1}}, {"name": "alpha", "arg": {"as_float": 1.0}}],
          "outputs": [{"as_tensor": {"name": "linear"}}]},
        {"target": "torch.ops.higher_order.wrap_with_set_grad_enabled", "name": "wrap", "inputs": [
          {"name": "", "arg": {"as_bool": false}},
          {"name": "", "arg": {"as_graph": {"name": "g", "graph": {
            "inputs": [{"as_tensor": {"name": "linear"}}], "outputs": [{"as_tensor": {"name": "mul"}}],
            "nodes": [
              {"target": "torch.ops.aten.mul.Tensor", "name": "mul", "inputs": [
                {"name": "self", "arg": {"as_tensor": {"name": "linear"}}}, {"name": "other", "arg": {"as_int": 2}}],
                "outputs": [{"as_tensor": {"name": "mul"}}]}]}}}},
          {"name": "", "arg": {"as_tensor": {"name": "linear"}}}], "outputs": [{"as_tensor": {"name": "mul"}}]},
        {"target": "torch.ops.aten.to.dtype_layout", "name": "to", "inputs": [
          {"name": "self", "arg": {"as_tensor": {"name": "mul"}}}, {"name": "dtype", "arg": {"as_scalar_type": 7}},
          {"name": "layout", "arg": {"as_layout": 7}}, {"name": "device", "arg": {"as_device": {"type": "cpu"}}},
          {"name": "memory_format", "arg": {"as_memory_format": 4}}],
          "outputs": [{"as_tensor": {"name": "to"}}]},
        {"target": "torch.ops.aten.cat.default", "name": "cat", "inputs": [
          {"name": "tensors", "arg": {"as_tensors": [{"name": "to"}, {"name": "x"}]}}, {"name": "dim", "arg": {"as_int": 0}}],
          "outputs": [{"as_tensor": {"name": "cat"}}]},
        {"target": "torch.ops.aten.split_with_sizes.default", "name": "split", "inputs": [
          {"name": "self", "arg": {"as_tensor": {"name": "cat"}}},
          {"name": "split_sizes", "arg": {"as_sym_ints": [{"as_name": "size"}, {"as_int": 2}]}}],
          "outputs": [{"as_tensors": [{"name": "part"}, {"name": "rest"}]}]}
      ]}}})---";

constexpr const char* kWeights = R"({"config": {
  "fc.weight": {"path_name": "weight_0", "is_param": true, "use_pickle": false, "tensor_meta": {
    "dtype": 7, "sizes": [{"as_int": 2}, {"as_int": 2}], "requires_grad": true,
    "strides": [{"as_int": 2}, {"as_int": 1}], "storage_offset": {"as_int": 0}, "layout": 7}},
  "fc.bias": {"path_name": "weight_1", "is_param": true, "use_pickle": false, "tensor_meta": {
    "dtype": 7, "sizes": [{"as_int": 2}], "requires_grad": true,
    "strides": [{"as_int": 1}], "storage_offset": {"as_int": 0}, "layout": 7}}}})";

constexpr const char* kConstants = R"({"config": {"one": {"path_name": "tensor_0", "is_param": false,
  "use_pickle": false, "tensor_meta": {"dtype": 5, "sizes": [], "requires_grad": false, "strides": [],
  "storage_offset": {"as_int": 0}, "layout": 7}}}})";

std::string archive(const std::vector<std::string>& parts) {
  return zip_bytes({{"m/models/model.json", parts[0]},
                    {"m/data/weights/model_weights_config.json", parts[1]},
                    {"m/data/constants/model_constants_config.json", parts[2]},
                    {"m/data/weights/weight_0", parts[3]},
                    {"m/data/weights/weight_1", "01234567"},
                    {"m/data/constants/tensor_0", "01234567"},
                    {"m/archive_format", "pt2"},
                    {"m/byteorder", "little"}});
}

Seed program(const std::string& name, const std::string& model, const std::string& weights = kWeights) {
  return {name, {model, weights, kConstants, "0123456789abcdef"}, archive};
}

json tensor_argument(const std::string& name) { return json{{"as_tensor", {{"name", name}}}}; }

/// The program with one more node, of `target`, whose arguments are the input and `others`, and that many results.
Seed with_node(const std::string& target, const std::string& first, const json& others, int results) {
  json model = json::parse(kProgram);
  json node = {{"target", target}, {"name", "more"}, {"inputs", json::array()}, {"outputs", json::array()}};
  node["inputs"].push_back({{"name", first}, {"arg", tensor_argument("p_w")}});
  for (const auto& [name, argument] : others.items()) node["inputs"].push_back({{"name", name}, {"arg", argument}});
  for (int i = 0; i < results; ++i)
    node["outputs"].push_back(tensor_argument((i == 0 ? "r" : "r_unused_") + std::to_string(i)));
  model["graph_module"]["graph"]["nodes"].push_back(node);
  return program(target, model.dump());
}

/// Operators that have a plain form, in the overload that writes to its last arguments.
std::vector<Seed> writing_forms() {
  const json x = tensor_argument("x");
  const json sizes = {{"as_ints", {1, 1}}};
  const json none = {{"as_none", true}};
  const std::string aten = "torch.ops.aten.";
  return {with_node(aten + "lift_fresh_copy.out", "self", {{"out", x}}, 1),
          with_node(aten + "native_layer_norm.out", "input",
                    {{"normalized_shape", sizes},
                     {"weight", none},
                     {"bias", none},
                     {"eps", {{"as_float", 0.1}}},
                     {"out0", x},
                     {"out1", x},
                     {"out2", tensor_argument("p_w")}},
                    3),
          with_node(aten + "max_pool2d_with_indices.out", "self",
                    {{"kernel_size", sizes}, {"out", x}, {"indices", tensor_argument("p_w")}}, 2),
          with_node(aten + "_native_batch_norm_legit_no_training.out", "input",
                    {{"weight", none},
                     {"bias", none},
                     {"running_mean", x},
                     {"running_var", x},
                     {"momentum", {{"as_float", 0.1}}},
                     {"eps", {{"as_float", 0.1}}},
                     {"out0", x},
                     {"out1", x},
                     {"out2", tensor_argument("p_w")}},
                    3)};
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  return text.replace(text.find(what), what.size(), by);
}

Seed weights(const std::string& name, const std::string& sizes, const std::string& strides) {
  std::string config = replaced(kWeights, R"([{"as_int": 2}, {"as_int": 2}])", sizes);
  return program(name, kProgram, replaced(config, R"([{"as_int": 2}, {"as_int": 1}])", strides));
}

}  // namespace

Seeds pt2_seeds() {
  const std::string most = R"({"as_int": 9223372036854775807})";
  const std::string none = R"({"as_int": 0})";
  Seeds seeds;
  seeds.good = {program("program", kProgram)};
  seeds.bad = writing_forms();
  const std::vector<Seed> more = {
      weights("overflow", "[" + most + "," + most + "]", "[" + most + "," + most + "]"),
      weights("one element, repeated", R"([{"as_int": 1000000000}, {"as_int": 1000000000}])",
              "[" + none + "," + none + "]"),
      weights("huge and empty", "[" + most + "," + none + "]", "[" + most + "," + most + "]"),
      weights("many dimensions", "[" + repeated(none + ",", 100000) + none + "]",
              "[" + repeated(none + ",", 100000) + none + "]"),
      program("deep argument", replaced(kProgram, R"({"as_int": 1}})",
                                        repeated(R"({"as_sym_int": )", 110) + "1" + repeated("}", 110) + "}")),
      program("deep arrays", repeated("[", 1000000)),
      program("long symbol", replaced(kProgram, "'s0'", "'" + repeated("s", 1000000) + "'")),
      program("many symbols", replaced(kProgram, "Symbol('s0'", repeated("Symbol('s", 100000) + "Symbol('s0'")),
      program("outside", kProgram, replaced(kWeights, "weight_0", "../../../../etc/passwd"))};
  seeds.bad.insert(seeds.bad.end(), more.begin(), more.end());
  return seeds;
}

}  // namespace hostile
