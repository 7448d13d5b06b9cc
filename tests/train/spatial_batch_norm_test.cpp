#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include "catch.hpp"
#include "distributed/on_ranks.hpp"
#include "halftone/spatial/exchange.hpp"
#include "halftone/spatial/operators.hpp"
#include "halftone/train/batch_norm.hpp"
#include "tiny_model.hpp"

using namespace halftone;

namespace {

using Tensors = std::vector<at::Tensor>;

at::Tensor doubles(std::vector<std::int64_t> shape, std::uint32_t seed) {
  return tiny::random(std::move(shape), seed).to(at::kDouble);
}

/// Two weights of convolutions, weight and bias of a batch norm; with gradients, and this caller's own.
Tensors parameters() {
  Tensors list{doubles({4, 3, 3, 3}, 1), doubles({5, 4, 3, 3}, 2), doubles({4}, 3) + 1.5, doubles({4}, 4)};
  for (auto& tensor : list) tensor.requires_grad_();
  return list;
}

double worst(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

}  // namespace

TEST_CASE("batch norm over ranks between convolutions of split rows trains as on the whole image") {
  const SpatialConvOptions strided{.stride = {2, 2}, .padding = {1, 1}};
  for (const std::int64_t rows : {11, 3}) {
    const at::Tensor x = doubles({2, 3, rows, 6}, 5);
    const Tensors whole = parameters();
    const at::Tensor middle = at::conv2d(x, whole[0], {}, 2, 1);
    const at::Tensor normal = at::batch_norm(middle, whole[2], whole[3], {}, {}, true, 0.1, 1e-5, false);
    const at::Tensor y = at::conv2d(at::relu(normal), whole[1], {}, 1, 1);
    const at::Tensor factors = doubles(y.sizes().vec(), 6);
    const Tensors expected = torch::autograd::grad({(y * factors).sum()}, whole);
    for (const int size : {1, 2, 3, 4}) {  // 3 rows make 2 in the middle: some of 4 ranks have none
      Tensors outputs(static_cast<std::size_t>(size));
      std::vector<Tensors> gradients(static_cast<std::size_t>(size));
      on_ranks(size, [&](Communicator& ranks) {
        const auto rank = static_cast<std::size_t>(ranks.rank());
        const Tensors own = parameters();
        const RowSplit split = split_evenly(rows, size);
        SplitImage z = spatial_conv2d({split_rows(x, split, ranks.rank()), split}, own[0], {}, strided, ranks);
        z.rows = at::relu(distributed_batch_norm(z.rows, {own[2], own[3], {}, {}}, {}, ranks));
        z = spatial_conv2d(z, own[1], {}, {.padding = {1, 1}}, ranks);
        outputs[rank] = z.rows.detach();
        gradients[rank] = torch::autograd::grad({(z.rows * split_rows(factors, z.split, ranks.rank())).sum()}, own);
      });
      INFO(rows << " rows over " << size << " ranks");
      CHECK(worst(at::cat(outputs, 2), y.detach()) < 1e-12);
      for (std::size_t k = 0; k < expected.size(); ++k) {
        at::Tensor sum = at::zeros_like(expected[k]);
        for (const auto& part : gradients) sum += part[k];
        CHECK(worst(sum, expected[k]) < 1e-11);
      }
    }
  }
}
