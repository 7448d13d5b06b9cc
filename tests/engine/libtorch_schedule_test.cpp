#include <ATen/ATen.h>

#include "catch.hpp"
#include "engine/libtorch/schedule.hpp"
#include "engine/libtorch/site_arguments.hpp"
#include "engine/libtorch_networks.hpp"

using namespace halftone;
using internal::make_schedule;

namespace {

const std::vector<Precision> kPrecisions{k16, k8, k4};

std::string schedule(const Model& model, const Plan& plan, const internal::ScheduleOptions& options = {}) {
  const Calibration calibration = calibrate(model, *tiny::samples(model, 8), kPrecisions);
  return to_string(make_schedule(model.graph, model.sites, plan, calibration, options), model.graph, model.sites);
}

}  // namespace

TEST_CASE("integers stay between sites, readers share one quantization, a residual is added by the kernel") {
  const Model model = tiny::residual_net();
  CHECK(schedule(model, Plan::uniform(5, k8)) ==
        "quantize for operator 1, after \"stem\"\n"
        "stem + relu (u8) -> u8\n"
        "right (u8)\n"
        "left + add + relu (u8)\n"
        "quantize for operator 7, after \"tail\"\n"
        "tail (u8) -> u8\n"
        "flatten (u8)\n"
        "head (u8)\n");
}

TEST_CASE("a value with readers of several widths stays floating and is quantized for each") {
  const Model model = tiny::residual_net();
  CHECK(schedule(model, Plan{{k8, k4, k8, k16, k16}}) ==
        "quantize for operator 1, after \"stem\"\n"
        "stem + relu (u8)\n"
        "quantize for operator 4, after \"right\"\n"
        "right (u8)\n"
        "quantize for operator 3, after \"left\"\n"
        "left + add + relu (u8)\n"
        "tail (packed)\n"
        "flatten\n"
        "head (packed)\n");
}

TEST_CASE("without fusion and kept integers every site stands alone") {
  const Model model = tiny::residual_net();
  CHECK(schedule(model, Plan::uniform(5, k8), {.fuse = false, .keep_u8 = false}) ==
        "quantize for operator 1, after \"stem\"\n"
        "stem (u8)\n"
        "relu\n"
        "quantize for operator 3, after \"left\"\n"
        "left (u8)\n"
        "right (u8)\n"
        "add\n"
        "relu\n"
        "quantize for operator 7, after \"tail\"\n"
        "tail (u8)\n"
        "flatten\n"
        "quantize for operator 9, after \"head\"\n"
        "head (u8)\n");
}

TEST_CASE("integers pass through max pooling and flattening, at narrow widths too") {
  for (const Precision precision : {k8, k4})
    CHECK(schedule(tiny::pooled_net(), Plan::uniform(3, precision)) ==
          "quantize for operator 1, after \"stem\"\n"
          "stem + relu (u8) -> u8\n"
          "max_pool2d (u8)\n"
          "body + relu (u8) -> u8\n"
          "flatten (u8)\n"
          "head (u8)\n");
}

TEST_CASE("a floating network converts its input and fuses what follows its sites") {
  CHECK(schedule(tiny::depthwise_net(), Plan::uniform(3, k16)) ==
        "convert input\n"
        "expand + hardtanh (packed)\n"
        "depthwise + hardtanh (packed)\n"
        "project (packed)\n");
}

TEST_CASE("products take gelu and residuals; narrow integers after gelu need a quantization of their own") {
  CHECK(schedule(tiny::token_net(), Plan::uniform(3, k8)) ==
        "quantize for operator 1, after \"first\"\n"
        "first (u8)\n"
        "quantize for operator 2, after \"up\"\n"
        "up + gelu (u8) -> u8\n"
        "down + add (u8)\n");
  CHECK(schedule(tiny::token_net(), Plan{{k16, k8, k4}}) ==
        "convert input\n"
        "first (packed)\n"
        "quantize for operator 2, after \"up\"\n"
        "up + gelu (u8)\n"
        "quantize for operator 4, after \"down\"\n"
        "down + add (u8)\n");
}

TEST_CASE("what no integer kernel takes is emulated") {
  CHECK(schedule(tiny::odd_convolutions(), Plan::uniform(3, k8)) ==
        "quantize for operator 1, after \"line\"\n"
        "quantize for operator 5, after \"solid\"\n"
        "convert up_input\n"
        "line + relu (u8)\n"
        "up (emulated)\n"
        "relu\n"
        "solid (u8)\n"
        "relu\n");
  CHECK(schedule(tiny::residual_net(), Plan{{{8, 16}, {16, 8}, k16, k16, k16}}) ==
        "convert input\n"
        "stem (emulated)\n"
        "relu\n"
        "left (emulated)\n"
        "right + add + relu (packed)\n"
        "tail (packed)\n"
        "flatten\n"
        "head (packed)\n");
}

TEST_CASE("a residual that somebody reads later is not overwritten") {
  tiny::Builder build;
  const auto stem = tiny::convolution(build, build.input("input", {4, 6, 6}), "stem", 4, 3, 1, 10);
  const auto kept = build.relu(stem);
  const auto sum = build.add(tiny::convolution(build, kept, "body", 4, 3, 1, 20), kept);
  SECTION("by a later operator") {
    const Model model = build.finish(build.add(sum, kept));
    CHECK(schedule(model, Plan::uniform(2, k8)) ==
          "quantize for operator 1, after \"stem\"\n"
          "stem + relu (u8)\n"
          "quantize for operator 3, after \"body\"\n"
          "body (u8)\n"
          "add\n"
          "add\n");
  }
  SECTION("by nobody") {
    const Model model = build.finish(sum);
    CHECK(schedule(model, Plan::uniform(2, k8)).ends_with("body + add (u8)\n"));
    CHECK(schedule(model, Plan::uniform(2, k16)).ends_with("body (packed)\nadd\n"));  // it reads what it would write
  }
  SECTION("as an output") {
    Model model = build.finish(sum);
    model.graph.outputs.push_back(kept);
    CHECK(schedule(model, Plan::uniform(2, k8)).ends_with("body (u8)\nadd\n"));
  }
  SECTION("through another name") {
    const auto alias = build.flatten(kept);
    Model model = build.finish(sum);
    model.graph.outputs.push_back(alias);
    CHECK(schedule(model, Plan::uniform(2, k8)).find("body + add") == std::string::npos);
  }
}

TEST_CASE("joined integers are clipped by the kernels that write them, where those can") {
  const auto joined = [](std::size_t dims) {
    tiny::Builder build;
    const auto x = build.input("input", std::vector<std::int64_t>(dims + 1, 5));
    const auto convolution = [&](tiny::Builder::Id from, const std::string& name, std::uint32_t seed) {
      Shape shape = build.shape_of(from);
      std::vector<std::int64_t> kernel(dims + 2, 1);
      kernel[0] = 4;
      kernel[1] = shape[1].offset;
      shape[1] = {4};
      const tiny::Builder::Ints ones(dims, {1});
      return build.node(
          "aten::convolution", "", shape,
          {build.ref(from), build.ref(build.parameter(name + ".weight", tiny::random(kernel, seed))), tiny::none(),
           ones, tiny::Builder::Ints(dims), ones, false, tiny::Builder::Ints(dims), build.number(1)});
    };
    const auto left = build.relu(convolution(x, "left", 1));
    const auto right = convolution(x, "right", 2);
    Shape both = build.shape_of(left);
    both[1] = {8};
    const auto cat =
        build.node("aten::cat", "", both, {std::vector<std::optional<ValueId>>{left, right}, tiny::Builder::number(1)});
    return schedule(build.finish(convolution(cat, "last", 3)), Plan::uniform(3, k8));
  };
  CHECK(joined(2) ==
        "quantize for operator 1, after \"left\"\n"
        "left + relu (u8) -> u8\n"
        "right (u8) -> u8\n"
        "cat (u8)\n"
        "last (u8)\n");
  CHECK(joined(1) ==  // its kernel clips to 0 … 255 alone, and 0 is no limit of signed integers
        "quantize for operator 1, after \"left\"\n"
        "left + relu (u8)\n"
        "right (u8) -> u8\n"
        "quantize for operator 4, after \"right\"\n"
        "cat (u8)\n"
        "last (u8)\n");
}

TEST_CASE("an operation behind a kernel clips to what neither the network nor saturation to bytes does") {
  using internal::PostOps;
  constexpr double kMost = std::numeric_limits<float>::max();
  const QuantParams bytes{.scale = 0.25F, .zero_point = 0};                     // 0 … 63.75
  const QuantParams centred{.scale = 0.25F, .zero_point = 128};                 // -32 … 31.75
  const QuantParams nibble{.scale = 0.5F, .zero_point = 0, .qmax = 15};         // 0 … 7.5
  const QuantParams signed_nibble{.scale = 0.5F, .zero_point = 8, .qmax = 15};  // -4 … 3.5
  struct Case {
    PostOps post;
    std::optional<QuantParams> written;
    std::string name;
    double low = 0;
    double high = 0;
  };
  const std::vector<Case> cases{{{}, std::nullopt, "none"},
                                {{.low = 0}, std::nullopt, "relu"},
                                {{.low = 0, .high = 6}, std::nullopt, "hardtanh", 0, 6},
                                {{.high = 6}, std::nullopt, "hardtanh", -kMost, 6},
                                {{.activation = "swish"}, bytes, "swish"},
                                {{}, bytes, "none"},
                                {{.low = 0}, bytes, "none"},
                                {{.low = -2}, bytes, "none"},
                                {{.low = 0, .high = 64}, bytes, "none"},
                                {{.low = 0, .high = 6}, bytes, "hardtanh", 0, 6},
                                {{.low = 2}, bytes, "hardtanh", 2, 63.75},
                                {{.low = -2, .high = 0.5}, bytes, "hardtanh", 0, 0.5},
                                {{}, centred, "none"},
                                {{.low = 0}, centred, "hardtanh", 0, 31.75},
                                {{.low = -2, .high = 0.5}, centred, "hardtanh", -2, 0.5},
                                {{.low = -40, .high = 0.5}, centred, "hardtanh", -kMost, 0.5},
                                {{}, nibble, "hardtanh", 0, 7.5},
                                {{.low = 0, .high = 6}, nibble, "hardtanh", 0, 6},
                                {{}, signed_nibble, "hardtanh", -kMost, 3.5},
                                {{.low = 0}, signed_nibble, "hardtanh", 0, 3.5}};
  for (const auto& [post, written, name, low, high] : cases) {
    CAPTURE(post.low, post.high, post.activation, written.value_or(QuantParams{}).zero_point,
            written.value_or(QuantParams{}).qmax);
    const auto op = internal::unary(post, written);
    CHECK(op.name == name);
    REQUIRE(op.scalars.size() == (name == "hardtanh" ? 2 : 0));
    if (op.scalars.empty()) continue;
    CHECK(op.scalars.get(0)->toDouble() == low);
    CHECK(op.scalars.get(1)->toDouble() == high);
  }
}
