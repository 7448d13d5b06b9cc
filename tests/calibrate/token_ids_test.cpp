#include "calibrate/token_ids.hpp"

#include "failure.hpp"
#include "halftone/calibrate/calibrate.hpp"
#include "tiny_model.hpp"

using namespace halftone;

namespace {

/// "ids" [B, 3] looked up in a table of `rows`, and in one of 9.
Model reader(std::int64_t rows) {
  tiny::Builder build;
  const auto ids = build.input("ids", {3});
  const auto look_up = [&](const char* name, std::int64_t size) {
    const auto table = build.parameter(name, tiny::random({size, 2}, 1));
    return build.node("aten::embedding", "", {{0, 1}, {3, 0}, {2, 0}},
                      {build.ref(table), build.ref(ids), build.number(-1), false, false});
  };
  const auto sum = build.add(look_up("words", rows), look_up("more", 9));
  Model model = build.finish(build.linear(sum, build.parameter("fc.weight", tiny::random({4, 2}, 2))));
  model.graph.values[static_cast<std::size_t>(ids)].dtype = DType::Int64;
  return model;
}

/// 300 samples, zeros but for one.
std::unique_ptr<Dataset> with_id(std::int64_t sample, std::int64_t id) {
  const at::Tensor ids = at::zeros({300, 3}, at::kLong);
  ids[sample][1] = id;
  return make_tensor_dataset("words.safetensors", {ids}, at::Tensor());
}

}  // namespace

TEST_CASE("ids are limited by the smallest table that they are looked up in, other inputs by nothing") {
  const Model model = reader(5);
  CHECK(internal::vocabulary(model.graph, model.graph.inputs[0]) == 5);
  CHECK(internal::vocabulary(reader(20).graph, model.graph.inputs[0]) == 9);
  const Model images = tiny::residual_net();
  CHECK_FALSE(internal::vocabulary(images.graph, images.graph.inputs[0]));
}

TEST_CASE("an id that no table has is refused by input, sample and value") {
  const Model model = reader(5);
  const Precision eight[] = {k8};
  CHECK_NOTHROW(calibrate(model, *with_id(7, 4), eight));
  const Failure refused = failure([&] { (void)calibrate(model, *with_id(290, 5), eight); });
  CHECK(refused.code == Errc::InvalidArgument);
  CHECK(refused.text == "input \"ids\" of sample 290 of words.safetensors holds 5: the network knows ids from 0 to 4");
  CHECK_THAT(failure([&] { internal::require_known_ids(model.graph, *with_id(0, -1)); }).text,
             Catch::Contains("sample 0 of words.safetensors holds -1"));
}
