#include <ATen/ATen.h>

#include "catch.hpp"
#include "engine/libtorch/quantize_u8.hpp"
#include "halftone/quant/fake_quantize.hpp"
#include "tiny_model.hpp"

using namespace halftone;

TEST_CASE("integers are those behind fake quantization, whatever type, layout and range") {
  const at::Tensor values = tiny::random({2, 3, 7, 11}, 7) * 3;
  for (const QuantParams& params : {activation_params(-1.5, 2, 8), activation_params(0, 2.5, 8),
                                    activation_params(-2, 0.5, 4), activation_params(-9, 9, 3)})
    for (const auto type : {at::kFloat, at::kBFloat16, at::kDouble})
      for (const auto layout : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
        const at::Tensor x = values.to(type).contiguous(layout);
        const at::Tensor integers = internal::quantize_u8(x, params);
        REQUIRE(integers.scalar_type() == at::kByte);
        CHECK(integers.is_contiguous(layout));
        const at::Tensor real = (integers.to(at::kFloat) - params.zero_point) * params.scale;
        CHECK(at::equal(real, fake_quantize(x.to(at::kFloat), params)));
      }
}

TEST_CASE("halves round to even, values beyond the range are clipped, gaps in memory do no harm") {
  const at::Tensor x = at::tensor({-1e30F, -0.5F, 0.5F, 1.5F, 2.5F, 254.5F, 1e30F});
  const QuantParams params{.scale = 1, .zero_point = 0};
  CHECK(at::equal(internal::quantize_u8(x, params), at::tensor({0, 0, 0, 2, 2, 254, 255}).to(at::kByte)));
  const at::Tensor odd = at::stack({x, x}, 1).select(1, 0);
  CHECK(at::equal(internal::quantize_u8(odd, params), internal::quantize_u8(x, params)));
}
