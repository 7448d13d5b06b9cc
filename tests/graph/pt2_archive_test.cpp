// Archives written here by hand: what each part of one must be, and what is said where it is not.
#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "catch.hpp"
#include "core/zip_bytes.hpp"
#include "failure.hpp"
#include "graph/pt2/number_operators.hpp"
#include "halftone/graph/interpreter.hpp"
#include "halftone/graph/pt2.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;
using nlohmann::json;

namespace {

json tensor_argument(const std::string& name) { return json{{"as_tensor", {{"name", name}}}}; }

json input(const std::string& name, const json& argument) {
  return json{{"name", name}, {"arg", argument}, {"kind", 1}};
}

json node(const std::string& name, const std::string& target, const std::vector<json>& inputs) {
  json result{{"target", "torch.ops.aten." + target}, {"name", name}};
  result["inputs"] = inputs;
  result["outputs"] = std::vector<json>{tensor_argument(name)};
  return result;
}

/// Sizes or strides.
json fixed(const std::vector<std::int64_t>& numbers) {
  json list = json::array();
  for (const auto number : numbers) list.push_back(json{{"as_int", number}});
  return list;
}

std::string floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

/// y = relu(x w^T + b) for x [2, 2]; w = [[1, 2], [3, 4]], b = [-4, 1].
struct Archive {
  json model = json::parse(R"({
    "schema_version": {"major": 8, "minor": 20},
    "range_constraints": {},
    "graph_module": {
      "signature": {
        "input_specs": [
          {"parameter": {"arg": {"name": "p_w"}, "parameter_name": "fc.weight"}},
          {"parameter": {"arg": {"name": "p_b"}, "parameter_name": "fc.bias"}},
          {"user_input": {"arg": {"as_tensor": {"name": "x"}}}}],
        "output_specs": [{"user_output": {"arg": {"as_tensor": {"name": "relu"}}}}]},
      "graph": {
        "tensor_values": {"x": {"dtype": 7, "sizes": [{"as_int": 2}, {"as_int": 2}]}},
        "nodes": [
          {"target": "torch.ops.aten.linear.default", "name": "linear", "inputs": [
            {"name": "input", "arg": {"as_tensor": {"name": "x"}}},
            {"name": "weight", "arg": {"as_tensor": {"name": "p_w"}}},
            {"name": "bias", "arg": {"as_tensor": {"name": "p_b"}}}], "outputs": [{"as_tensor": {"name": "linear"}}]},
          {"target": "torch.ops.aten.relu.default", "name": "relu", "inputs": [
            {"name": "self", "arg": {"as_tensor": {"name": "linear"}}}], "outputs": [{"as_tensor": {"name": "relu"}}]}
        ]}}})");
  json weights = json::parse(R"({"config": {
    "fc.weight": {"path_name": "weight_0", "is_param": true, "use_pickle": false, "tensor_meta": {
      "dtype": 7, "sizes": [{"as_int": 2}, {"as_int": 2}], "requires_grad": true,
      "strides": [{"as_int": 2}, {"as_int": 1}], "storage_offset": {"as_int": 0}, "layout": 7}},
    "fc.bias": {"path_name": "weight_1", "is_param": true, "use_pickle": false, "tensor_meta": {
      "dtype": 7, "sizes": [{"as_int": 2}], "requires_grad": true,
      "strides": [{"as_int": 1}], "storage_offset": {"as_int": 0}, "layout": 7}}}})");
  std::string format = "pt2";
  std::string byteorder = "little";
  std::vector<float> w{1, 2, 3, 4};

  json& nodes() { return model["graph_module"]["graph"]["nodes"]; }
  json& weight() { return weights["config"]["fc.weight"]["tensor_meta"]; }

  [[nodiscard]] std::vector<ZipPart> parts(const std::string& text) const {
    return {{"m/models/model.json", text},
            {"m/data/weights/model_weights_config.json", weights.dump()},
            {"m/data/constants/model_constants_config.json", R"({"config": {}})"},
            {"m/data/weights/weight_0", floats(w)},
            {"m/data/weights/weight_1", floats({-4, 1})},
            {"m/archive_format", format},
            {"m/byteorder", byteorder}};
  }
  [[nodiscard]] std::vector<ZipPart> parts() const { return parts(model.dump()); }
};

std::vector<at::Tensor> load_and_run(const std::string& bytes) {
  const TempDir dir;
  const auto program = ExportedProgram::load(dir.write("x.pt2", bytes));
  return program.run({at::ones({2, 2})});
}

/// What loading or running the archive throws.
Failure refusal(const std::vector<ZipPart>& parts) {
  const std::string bytes = zip_bytes(parts);
  return failure([&] { static_cast<void>(load_and_run(bytes)); });
}

Failure refusal(const Archive& archive) { return refusal(archive.parts()); }

/// What a change to the valid archive is met with.
Failure changed(const std::function<void(Archive&)>& change) {
  Archive archive;
  change(archive);
  return refusal(archive);
}

c10::IValue compute(const std::string& target, const std::vector<c10::IValue>& arguments) {
  const auto operation = internal::pt2::find_number_operator(target);
  REQUIRE(operation);
  return operation(arguments);
}

std::int64_t integer(const std::string& target, std::int64_t a, std::int64_t b) {
  return compute(target, {a, b}).toInt();
}

}  // namespace

TEST_CASE("an archive written by hand runs, and its weights are read where they lie") {
  const std::vector<at::Tensor> outputs = load_and_run(zip_bytes(Archive().parts()));
  REQUIRE(outputs.size() == 1);
  CHECK(at::equal(outputs[0], at::tensor({0.0, 8.0, 0.0, 8.0}, at::kFloat).view({2, 2})));  // 3-4, 7+1
}

TEST_CASE("weights may have any strides and offset within their memory") {
  Archive archive;
  archive.w = {9, 1, 3, 2, 4};  // transposed, behind another number
  archive.weight()["strides"] = fixed({1, 2});
  archive.weight()["storage_offset"]["as_int"] = 1;
  CHECK(at::equal(load_and_run(zip_bytes(archive.parts()))[0],
                  at::tensor({0.0, 8.0, 0.0, 8.0}, at::kFloat).view({2, 2})));
}

TEST_CASE("weights that do not fit their memory are refused") {
  const auto refused = [](const char* key, const json& value) {
    const Failure bad = changed([&](Archive& archive) { archive.weight()[key] = value; });
    CHECK(bad.code == Errc::BadFile);
    return bad.text;
  };
  for (const json& sizes : {fixed({3, 2}), fixed({2, 3}), fixed({INT64_C(1) << 31, INT64_C(1) << 31}),
                            fixed({INT64_C(1) << 62, INT64_C(1) << 62})})
    CHECK_THAT(refused("sizes", sizes), Contains("fc.weight") && Contains("do not fit its 16 bytes"));
  CHECK_THAT(refused("strides", fixed({INT64_C(1) << 62, 1})), Contains("do not fit"));
  CHECK_THAT(refused("strides", fixed({2, 2})), Contains("do not fit"));
  CHECK_THAT(refused("strides", fixed({-2, 1})), Contains("an integer of at least 0 is needed"));
  CHECK_THAT(refused("storage_offset", R"({"as_int": 1})"_json), Contains("do not fit"));
  CHECK_THAT(refused("storage_offset", R"({"as_int": 9223372036854775807})"_json), Contains("do not fit"));
  const Failure repeated = changed([](Archive& archive) {
    archive.weight()["sizes"] = fixed({1 << 20, 1 << 20});
    archive.weight()["strides"] = fixed({0, 0});
  });
  CHECK_THAT(repeated.text, Contains("do not fit its 16 bytes"));
  CHECK_THAT(refused("sizes", fixed({4})), Contains("as many strides as sizes"));
  CHECK_THAT(refused("dtype", 8), Contains("of float64, which do not fit its 16 bytes"));
}

TEST_CASE("tensors that are not plain are refused") {
  CHECK(changed([](Archive& a) { a.weight()["dtype"] = 10; }).code == Errc::Unsupported);
  CHECK(changed([](Archive& a) { a.weight()["layout"] = 1; }).code == Errc::Unsupported);
  const Failure pickled = changed([](Archive& a) { a.weights["config"]["fc.bias"]["use_pickle"] = true; });
  CHECK_THAT(pickled.text, Contains("fc.bias is a pickled object"));
  const Failure lost = changed([](Archive& a) { a.weights["config"]["fc.bias"]["path_name"] = "../weight_1"; });
  CHECK(lost.code == Errc::NotFound);
  CHECK_THAT(changed([](Archive& a) { a.weights["config"].erase("fc.bias"); }).text,
             Contains("holds no tensor of this name"));
}

TEST_CASE("files that are no exported program say what they are") {
  auto parts = Archive().parts();
  parts[0].name = "m/other.json";
  CHECK_THAT(refusal(parts).text, Contains("holds 0 exported programs") && Contains("torch.export.save"));
  parts.push_back({"m/data/aotinductor/model/x.so", ""});
  CHECK_THAT(refusal(parts).text, Contains("code compiled for one machine"));
  parts = Archive().parts();
  parts.push_back({"m/models/second.json", "{}"});
  CHECK_THAT(refusal(parts).text, Contains("holds 2 exported programs"));
  parts = Archive().parts();
  parts.push_back({"serialized_exported_program.json", "{}"});
  CHECK_THAT(refusal(parts).text, Contains("older PyTorch versions"));
  parts.back().name = "m/data/weights/model.pt";
  CHECK_THAT(refusal(parts).text, Contains("older PyTorch versions"));
  CHECK_THAT(changed([](Archive& a) { a.format = "zip"; }).text, Contains("format is pt2"));
  CHECK_THAT(changed([](Archive& a) { a.byteorder = "big"; }).text, Contains("big-endian"));
  CHECK_THAT(changed([](Archive& a) { a.model["schema_version"]["major"] = 9; }).text, Contains("schema version 9"));
}

TEST_CASE("damaged weights are found by their checksum, unless that was switched off") {
  const TempDir dir;
  std::string bytes = zip_bytes(Archive().parts());
  bytes[bytes.find(floats({1, 2, 3, 4})) + 5] ^= 1;
  const auto path = dir.write("x.pt2", bytes);
  CHECK_THAT(failure([&] { ExportedProgram::load(path); }).text, Contains("weight_0\" has checksum"));
  LoadOptions options;
  options.verify_weights = false;
  CHECK_NOTHROW(ExportedProgram::load(path, options));
}

TEST_CASE("operators that may not run are refused by name") {
  const auto refused = [](const std::string& target) {
    const Failure bad = changed([&](Archive& a) { a.nodes()[1]["target"] = target; });
    CHECK(bad.code == Errc::Unsupported);
    CHECK_THAT(bad.text, Contains("cannot run node \"relu\" (" + target + ")"));
    return bad.text;
  };
  CHECK_THAT(refused("torch.ops.aten.relux.default"), Contains("no such operator"));
  CHECK_THAT(refused("torch.ops.aten.relu"), Contains("torch.ops.SPACE.NAME.OVERLOAD"));
  CHECK_THAT(refused("torch.ops.mine.relu.default"), Contains("LoadOptions::namespaces"));
  CHECK_THAT(refused("torch.ops.aten.from_file.default"), Contains("reaches outside the network"));
  CHECK_THAT(refused("torch.ops.higher_order.cond"), Contains("torch.where"));
  CHECK_THAT(refused("_operator.matmul"), Contains("the operator is not known"));
  CHECK_THAT(refused("os.system"), Contains("the operator is not known"));
}

TEST_CASE("nodes that do not fit their operator are refused") {
  const auto refused = [](const std::function<void(json&)>& change) {
    const Failure bad = changed([&](Archive& a) { change(a.nodes()[1]); });
    CHECK(bad.code == Errc::BadFile);
    return bad.text;
  };
  CHECK_THAT(refused([](json& n) { n["inputs"] = json::array(); }),
             Contains("argument \"self\" of aten::relu is missing"));
  CHECK_THAT(refused([](json& n) { n["inputs"][0]["name"] = "other"; }), Contains("\"self\" of aten::relu is missing"));
  CHECK_THAT(refused([](json& n) {
               n["inputs"].push_back(input("x", json{{"as_int", 1}}));
             }),
             Contains("has no argument"));
  CHECK_THAT(refused([](json& n) { n["inputs"].push_back(n["inputs"][0]); }), Contains("no other argument"));
  CHECK_THAT(refused([](json& n) { n["inputs"][0]["arg"] = tensor_argument("relu"); }), Contains("computed before"));
  CHECK_THAT(refused([](json& n) { n["inputs"][0]["arg"] = R"({"as_none": true})"_json; }),
             Contains("Tensor is needed"));
  CHECK_THAT(refused([](json& n) { n["inputs"][0]["arg"] = R"({"as_string": "x"})"_json; }),
             Contains("Tensor is needed"));
  CHECK_THAT(refused([](json& n) { n["inputs"][0]["arg"] = R"({"as_tensors": [{"name": "x"}]})"_json; }),
             Contains("a single value is needed"));
  CHECK_THAT(refused([](json& n) { n["inputs"][0]["arg"] = json::object(); }), Contains("one member"));
  CHECK_THAT(refused([](json& n) { n["outputs"][0] = tensor_argument("x"); }), Contains("a value of this name"));
  CHECK_THAT(refused([](json& n) { n["outputs"] = R"([{"as_tensors": [{"name": "relu"}]}])"_json; }),
             Contains("a single tensor is needed"));
}

TEST_CASE("operators that have a plain form keep their own where they write to more arguments") {
  const auto with_last = [](const std::string& target, const std::vector<json>& inputs) {
    return [=](Archive& a) { a.nodes()[1] = node("relu", target, inputs); };
  };
  const json x = tensor_argument("linear");
  const json pair = json{{"as_ints", {1, 1}}};
  const Failure pooled = changed([&](Archive& a) {
    with_last("max_pool2d_with_indices.out", {input("self", x), input("kernel_size", pair), input("out", x),
                                              input("indices", tensor_argument("p_w"))})(a);
    a.nodes()[1]["outputs"].push_back(tensor_argument("relu_unused_1"));
  });
  CHECK(pooled.code == Errc::Unsupported);
  CHECK_THAT(pooled.text, Contains("writes to a parameter, buffer or constant"));
  Archive copied;
  with_last("lift_fresh_copy.out", {input("self", x), input("out", tensor_argument("x"))})(copied);
  CHECK(at::equal(load_and_run(zip_bytes(copied.parts()))[0],
                  at::tensor({-1.0, 8.0, -1.0, 8.0}, at::kFloat).view({2, 2})));
}

TEST_CASE("writes to parameters are refused, also through views of them") {
  const Failure plain = changed([](Archive& a) {
    a.nodes()[1]["target"] = "torch.ops.aten.relu_.default";
    a.nodes()[1]["inputs"][0]["arg"] = tensor_argument("p_b");
  });
  CHECK(plain.code == Errc::Unsupported);
  CHECK_THAT(plain.text, Contains("writes to a parameter, buffer or constant") && Contains("eval mode"));
  const Failure view = changed([](Archive& a) {
    a.nodes()[0] = node("linear", "alias.default", {input("self", tensor_argument("p_w"))});
    a.nodes()[1]["target"] = "torch.ops.aten.relu_.default";
  });
  CHECK_THAT(view.text, Contains("writes to a parameter, buffer or constant"));
  CHECK_NOTHROW(load_and_run(zip_bytes([] {
    Archive a;
    a.nodes()[1]["target"] = "torch.ops.aten.relu_.default";
    return a.parts();
  }())));
}

TEST_CASE("programs that change the network with each pass are refused") {
  const Failure bad = changed([](Archive& a) {
    a.model["graph_module"]["signature"]["output_specs"][0] =
        R"({"buffer_mutation": {"arg": {"name": "relu"}, "buffer_name": "b"}})"_json;
  });
  CHECK(bad.code == Errc::Unsupported);
  CHECK_THAT(bad.text, Contains("buffer_mutation") && Contains("eval mode"));
}

TEST_CASE("conditions of the program are checked when it runs") {
  Archive archive;
  const json name = R"({"as_sym_int": {"as_name": "size"}})"_json;
  json size =
      node("size", "sym_size.int", {input("self", tensor_argument("x")), input("dim", R"({"as_int": 0})"_json)});
  size["outputs"][0] = name;
  json range = node("range", "sym_constrain_range_for_size.default",
                    {input("size", name), input("max", R"({"as_int": 1})"_json)});
  range["outputs"] = json::array();
  archive.nodes().insert(archive.nodes().begin(), {size, range});
  const Failure outside = refusal(archive);
  CHECK(outside.code == Errc::InvalidArgument);
  CHECK_THAT(outside.text, Contains("a size is 2, and None to 1 are allowed"));
  const json holds = R"({"as_sym_bool": {"as_name": "less"}})"_json;
  json condition = node("less", "", {input("a", name), input("b", R"({"as_int": 2})"_json)});
  condition["target"] = "_operator.lt";
  condition["outputs"][0] = holds;
  json check = node("check", "_assert_scalar.default",
                    {input("self", holds), input("assert_msg", R"({"as_string": "size must be below 2"})"_json)});
  check["outputs"][0] = R"({"as_none": true})"_json;
  archive.nodes()[1] = condition;
  archive.nodes().insert(archive.nodes().begin() + 2, check);
  const Failure unmet = refusal(archive);
  CHECK(unmet.code == Errc::InvalidArgument);
  CHECK_THAT(unmet.text, Contains("size must be below 2"));
}

TEST_CASE("an example too large to make is refused") {
  Archive archive;
  archive.model["graph_module"]["graph"]["tensor_values"]["x"]["sizes"] = fixed({INT64_C(1) << 62, 8});
  const TempDir dir;
  const auto program = ExportedProgram::load(dir.write("x.pt2", zip_bytes(archive.parts())));
  const Failure large = failure([&] { example_inputs(program); });
  CHECK(large.code == Errc::Unsupported);
  CHECK_THAT(large.text, Contains("input \"x\" has more than 268435456 elements"));
}

TEST_CASE("arithmetic on sizes is Python's") {
  // Values: the same expressions typed into Python 3.11.
  CHECK(integer("_operator.floordiv", -7, 2) == -4);
  CHECK(integer("_operator.floordiv", 7, -2) == -4);
  CHECK(integer("_operator.floordiv", 6, -2) == -3);
  CHECK(integer("_operator.mod", -7, 3) == 2);
  CHECK(integer("_operator.mod", 7, -3) == -2);
  CHECK(integer("_operator.mod", INT64_MIN, -1) == 0);
  CHECK(integer("_operator.pow", 3, 4) == 81);
  CHECK(integer("_operator.pow", -1, 65) == -1);
  CHECK(integer("_operator.pow", 0, 0) == 1);
  CHECK(integer("_operator.pow", 0, 99) == 0);
  CHECK(integer("_operator.add", 2, 3) == 5);
  CHECK(integer("_operator.sub", 2, 3) == -1);
  CHECK(integer("_operator.mul", 2, -3) == -6);
  CHECK(integer("_operator.lshift", 3, 4) == 48);
  CHECK(integer("_operator.rshift", -5, 1) == -3);
  CHECK(integer("torch.sym_max", 2, 3) == 3);
  CHECK(integer("torch.sym_min", 2, 3) == 2);
  CHECK(compute("_operator.truediv", {1, 4}).toDouble() == 0.25);
  CHECK(compute("_operator.add", {1, 0.5}).toDouble() == 1.5);
  CHECK(compute("_operator.neg", {3}).toInt() == -3);
  CHECK(compute("torch.sym_float", {3}).toDouble() == 3);
  CHECK(compute("math.trunc", {-2.5}).toInt() == -2);
  CHECK(compute("math.floor", {-2.5}).toInt() == -3);
  CHECK(compute("math.ceil", {-2.5}).toInt() == -2);
  CHECK(compute("_operator.lt", {2, 3}).toBool());
  CHECK_FALSE(compute("_operator.eq", {2, 2.5}).toBool());
  CHECK(compute("_operator.and_", {true, false}).isBool());
  CHECK_FALSE(compute("torch.sym_not", {true}).toBool());
  CHECK(compute("torch.sym_ite", {false, 1, 2}).toInt() == 2);
}

TEST_CASE("arithmetic on sizes that has no result is refused") {
  const auto refused = [](const std::string& target, const std::vector<c10::IValue>& arguments) {
    CHECK(failure([&] { compute(target, arguments); }).code == Errc::InvalidArgument);
  };
  refused("_operator.floordiv", {1, 0});
  refused("_operator.mod", {1, 0});
  refused("_operator.truediv", {1, 0});
  refused("_operator.add", {INT64_MAX, 1});
  refused("_operator.mul", {INT64_MAX, 2});
  refused("_operator.floordiv", {INT64_MIN, -1});
  refused("_operator.neg", {INT64_MIN});
  refused("_operator.pow", {2, 63});
  refused("_operator.pow", {2, -1});
  refused("_operator.lshift", {1, 64});
  refused("_operator.add", {1});
  refused("_operator.add", {"a", 1});
  refused("math.trunc", {1e300});
  refused("math.trunc", {NAN});
  CHECK_FALSE(internal::pt2::find_number_operator("_operator.matmul"));
}

TEST_CASE("JSON that is nested deeply, cut or repeated is refused") {
  const auto refused = [](const std::string& text) {
    const Failure bad = refusal(Archive().parts(text));
    CHECK(bad.code == Errc::BadFile);
    return bad.text;
  };
  std::string deep = "{\"graph_module\":";
  for (int i = 0; i < 100'000; ++i) deep += "[";
  CHECK_THAT(refused(deep), Contains("nested too deep"));
  const std::string text = Archive().model.dump();
  for (std::size_t length = 0; length < text.size(); length += 37) refused(text.substr(0, length));
  CHECK_THAT(refused("{\"schema_version\":1," + text.substr(1)), Contains("given twice"));
}

TEST_CASE("a damaged archive runs or is refused, and nothing else happens") {
  constexpr std::uint64_t seed = 22;
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  const Archive archive;
  const std::string tokens = "{}[],:\"0129-+eE.\\u \n";
  int ran = 0;
  for (int round = 0; round < 1500; ++round) {
    // The checksums are made anew, so that damage reaches what reads the content.
    auto parts = archive.parts();
    ZipPart& part = parts[random() % 10 < 7 ? 0 : random() % parts.size()];
    for (std::uint64_t flips = 1 + random() % 3; flips > 0 && !part.content.empty(); --flips) {
      char& byte = part.content[random() % part.content.size()];
      byte = static_cast<char>(random() % 2 == 0 ? tokens[random() % tokens.size()] : byte ^ (1 << random() % 8));
    }
    try {
      load_and_run(zip_bytes(parts));
      ++ran;
    } catch (const Error& error) {
      CHECK_FALSE(std::string(error.what()).empty());
    }
  }
  // Flips in weights and in what is not read do no harm.
  CHECK(ran > 50);
  CHECK(ran < 1200);
}
