#include "halftone/spatial/operators.hpp"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include "catch.hpp"
#include "distributed/on_ranks.hpp"
#include "failure.hpp"
#include "halftone/spatial/exchange.hpp"
#include "tiny_model.hpp"

using namespace halftone;

namespace {

using Tensors = std::vector<at::Tensor>;

at::Tensor doubles(std::vector<std::int64_t> shape, std::uint32_t seed) {
  return tiny::random(std::move(shape), seed).to(at::kDouble);
}

Tensors leaves(const Tensors& tensors) {
  Tensors list;
  for (const auto& tensor : tensors) list.push_back(tensor.detach().clone().requires_grad_());
  return list;
}

bool near(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && (a.numel() == 0 || (a - b).abs().max().item<double>() <= 1e-12);
}

/// An operator on a whole image and on a split one, and what it reads beside the image.
struct Case {
  std::string name;
  at::Tensor x;
  Tensors parameters;
  std::function<at::Tensor(const at::Tensor& x, const Tensors& parameters)> whole;
  std::function<SplitImage(const SplitImage& x, const Tensors& parameters, Communicator& ranks)> split;
};

struct Part {
  SplitImage y;
  at::Tensor gathered;
  Tensors gradients;  ///< of this rank's rows, then of parameters
};

/// Forward and backward over `size` ranks, each of which has its rows of the loss, sum(output * factors).
std::vector<Part> run(const Case& c, int size, const at::Tensor& factors) {
  std::vector<Part> parts(static_cast<std::size_t>(size));
  on_ranks(size, [&](Communicator& ranks) {
    Part& part = parts[static_cast<std::size_t>(ranks.rank())];
    const RowSplit split = split_evenly(c.x.size(2), size);
    const at::Tensor rows = leaves({split_rows(c.x, split, ranks.rank())})[0];
    const Tensors parameters = leaves(c.parameters);
    part.y = c.split({rows, split}, parameters, ranks);
    part.gathered = gather_rows(part.y.rows.detach(), part.y.split, ranks);
    Tensors sources{rows};
    sources.insert(sources.end(), parameters.begin(), parameters.end());
    part.gradients =
        torch::autograd::grad({(part.y.rows * split_rows(factors, part.y.split, ranks.rank())).sum()}, sources);
  });
  return parts;
}

void check(const Case& c, const std::vector<int>& sizes = {1, 2, 3, 4}) {
  Tensors sources = leaves({c.x});
  for (const auto& parameter : leaves(c.parameters)) sources.push_back(parameter);
  const at::Tensor expected = c.whole(sources[0], {sources.begin() + 1, sources.end()});
  const at::Tensor factors = doubles(expected.sizes().vec(), 77);
  const Tensors gradients = torch::autograd::grad({(expected * factors).sum()}, sources);
  for (const int size : sizes) {
    INFO(c.name << ", " << c.x.size(2) << " rows over " << size << " ranks");
    const auto parts = run(c, size, factors);
    Tensors sums;
    for (const Part& part : parts) {
      const auto rank = static_cast<int>(&part - parts.data());
      CHECK(near(part.gathered, expected.detach()));
      CHECK(near(part.gradients[0], split_rows(gradients[0], split_evenly(c.x.size(2), size), rank)));
      for (std::size_t k = 1; k < part.gradients.size(); ++k)
        sums.size() < k ? sums.push_back(part.gradients[k]) : void(sums[k - 1] = sums[k - 1] + part.gradients[k]);
    }
    for (std::size_t k = 0; k < sums.size(); ++k) CHECK(near(sums[k], gradients[k + 1]));
  }
}

Case convolution(std::int64_t rows, std::int64_t kernel, const SpatialConvOptions& o) {
  return {message("kernel ", kernel, ", stride ", o.stride[0], ", padding ", o.padding[0], ", dilation ", o.dilation[0],
                  ", groups ", o.groups),
          doubles({2, 4, rows, 6}, 1),
          {doubles({6, 4 / o.groups, kernel, 2}, 2), doubles({6}, 3)},
          [o](const at::Tensor& x, const Tensors& p) {
            return at::conv2d(x, p[0], p[1], o.stride, o.padding, o.dilation, o.groups);
          },
          [o](const SplitImage& x, const Tensors& p, Communicator& ranks) {
            return spatial_conv2d(x, p[0], p[1], o, ranks);
          }};
}

}  // namespace

TEST_CASE("a convolution of split rows is LibTorch's of the whole image, and so are its gradients") {
  for (const std::int64_t rows : {1, 5, 12})
    for (const std::int64_t kernel : {1, 3, 5})
      for (const std::int64_t stride : {1, 2, 3})
        for (const std::int64_t padding : {0, 1, 2})
          for (const std::int64_t dilation : {1, 2}) {
            if (rows + 2 * padding < dilation * (kernel - 1) + 1) continue;
            const std::int64_t groups = 1 + (kernel / 2 + stride + padding) % 2;
            check(convolution(rows, kernel, {{stride, 1}, {padding, 1}, {dilation, 1}, groups}));
          }
}

TEST_CASE("windows larger than what several ranks hold read from all of them") {
  check(convolution(9, 9, {.padding = {4, 0}}), {4, 7, 9, 11});
  check(convolution(6, 3, {.padding = {5, 0}, .dilation = {5, 1}}), {2, 6});
}

TEST_CASE("a convolution without bias has none") {
  Case c = convolution(8, 3, {.padding = {1, 0}});
  c.parameters.pop_back();
  c.whole = [](const at::Tensor& x, const Tensors& p) { return at::conv2d(x, p[0], {}, 1, at::IntArrayRef{1, 0}); };
  c.split = [](const SplitImage& x, const Tensors& p, Communicator& ranks) {
    return spatial_conv2d(x, p[0], {}, {.padding = {1, 0}}, ranks);
  };
  check(c);
}

TEST_CASE("pooling of split rows is LibTorch's of the whole image, padding counted or not, and so are gradients") {
  for (const std::int64_t rows : {2, 5, 7, 11})
    for (const std::int64_t kernel : {2, 3})
      for (const std::int64_t stride : {1, 2, 3})
        for (const std::int64_t padding : {0, 1})
          for (const bool ceil : {false, true})
            for (const bool count : {false, true}) {
              if (rows + 2 * padding < kernel) continue;
              const SpatialPoolOptions o{.kernel = {kernel, 2},
                                         .stride = {stride, 2},
                                         .padding = {padding, 1},
                                         .ceil_mode = ceil,
                                         .count_include_pad = count};
              const std::string name = message("kernel ", kernel, ", stride ", stride, ", padding ", padding,
                                               ceil ? ", ceil" : "", count ? ", counted" : "");
              check(
                  {"average, " + name,
                   doubles({2, 3, rows, 7}, 4),
                   {},
                   [o](const at::Tensor& x, const Tensors&) {
                     return at::avg_pool2d(x, o.kernel, o.stride, o.padding, o.ceil_mode, o.count_include_pad);
                   },
                   [o](const SplitImage& x, const Tensors&, Communicator& r) { return spatial_avg_pool2d(x, o, r); }});
              if (!count) continue;
              // Below zero everywhere: a padding of zeros would show.
              check(
                  {"maximum, " + name,
                   doubles({2, 3, rows, 7}, 4) - 2,
                   {},
                   [o](const at::Tensor& x, const Tensors&) {
                     return at::max_pool2d(x, o.kernel, o.stride, o.padding, 1, o.ceil_mode);
                   },
                   [o](const SplitImage& x, const Tensors&, Communicator& r) { return spatial_max_pool2d(x, o, r); }});
            }
}

TEST_CASE("max pooling may be dilated, average pooling may have a divisor of its own") {
  const SpatialPoolOptions dilated{.kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 0}, .dilation = {2, 1}};
  check({"dilated",
         doubles({2, 3, 9, 7}, 4),
         {},
         [&](const at::Tensor& x, const Tensors&) {
           return at::max_pool2d(x, dilated.kernel, dilated.stride, dilated.padding, dilated.dilation);
         },
         [&](const SplitImage& x, const Tensors&, Communicator& r) { return spatial_max_pool2d(x, dilated, r); }});
  const SpatialPoolOptions divided{.kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 0}, .divisor_override = 5};
  check({"divided",
         doubles({2, 3, 9, 7}, 4),
         {},
         [&](const at::Tensor& x, const Tensors&) {
           return at::avg_pool2d(x, divided.kernel, divided.stride, divided.padding, false, true, 5);
         },
         [&](const SplitImage& x, const Tensors&, Communicator& r) { return spatial_avg_pool2d(x, divided, r); }});
}

TEST_CASE("upsampling of split rows is LibTorch's of the whole image, and so are its gradients") {
  for (const std::int64_t rows : {1, 2, 5, 8})
    for (const std::int64_t factor : {1, 2, 3}) {
      const auto size = [=](const at::Tensor& x) {
        return std::vector<std::int64_t>{factor * x.size(2), factor * x.size(3)};
      };
      check({message("nearest, factor ", factor),
             doubles({2, 3, rows, 5}, 4),
             {},
             [=](const at::Tensor& x, const Tensors&) { return at::upsample_nearest2d(x, size(x)); },
             [=](const SplitImage& x, const Tensors&, Communicator& ranks) {
               return spatial_upsample2d(x, factor, Upsampling::Nearest, ranks);
             }});
      check({message("bilinear, factor ", factor),
             doubles({2, 3, rows, 5}, 4),
             {},
             [=](const at::Tensor& x, const Tensors&) { return at::upsample_bilinear2d(x, size(x), false); },
             [=](const SplitImage& x, const Tensors&, Communicator& ranks) {
               return spatial_upsample2d(x, factor, Upsampling::Bilinear, ranks);
             }});
    }
}

TEST_CASE("a mean over rows is whole on every rank, and its gradient is of the sum of the ranks' losses") {
  const at::Tensor x = doubles({2, 3, 5, 4}, 4);
  const at::Tensor factors = doubles({4, 2, 3, 1, 1}, 5);
  for (const int size : {1, 2, 3, 4}) {
    Tensors gradients(static_cast<std::size_t>(size));
    Tensors means(static_cast<std::size_t>(size));
    on_ranks(size, [&](Communicator& ranks) {
      const auto rank = static_cast<std::size_t>(ranks.rank());
      const RowSplit split = split_evenly(5, size);
      const at::Tensor rows = leaves({split_rows(x, split, ranks.rank())})[0];
      means[rank] = spatial_mean({rows, split}, ranks);
      gradients[rank] = torch::autograd::grad({(means[rank] * factors[ranks.rank()]).sum()}, {rows})[0];
    });
    const at::Tensor expected = factors.slice(0, 0, size).sum(0).expand({2, 3, 5, 4}) / 20;
    for (const auto& mean : means) CHECK(near(mean.detach(), x.mean({2, 3}, true)));
    CHECK(near(at::cat(gradients, 2), expected));
  }
}

TEST_CASE("gathered rows bring the gradients of all ranks back to their owner") {
  const at::Tensor x = doubles({1, 2, 5, 3}, 4);
  const at::Tensor factors = doubles({3, 1, 2, 5, 3}, 5);
  Tensors gradients(3);
  on_ranks(3, [&](Communicator& ranks) {
    const RowSplit split{{0, 4, 4, 5}};
    const at::Tensor rows = leaves({split_rows(x, split, ranks.rank())})[0];
    const at::Tensor whole = gather_rows(rows, split, ranks);
    gradients[static_cast<std::size_t>(ranks.rank())] =
        torch::autograd::grad({(whole * factors[ranks.rank()]).sum()}, {rows})[0];
  });
  CHECK(near(at::cat(gradients, 2), factors.sum(0)));
}

TEST_CASE("gradients of gradients go through exchanges as well") {
  const at::Tensor x = doubles({1, 2, 6, 4}, 4);
  const at::Tensor weight = doubles({2, 2, 3, 3}, 5);
  const auto product = [](const at::Tensor& y, const at::Tensor& w) {  // H w, H of the sum of the cubes of y
    const at::Tensor gradient = torch::autograd::grad({y.pow(3).sum()}, {w}, {}, true, true)[0];
    return torch::autograd::grad({(gradient * 2).sum()}, {w})[0];
  };
  const at::Tensor w = leaves({weight})[0];
  const at::Tensor middle = at::conv2d(x, w, {}, 1, 1).tanh();
  const at::Tensor expected = product(at::conv2d(middle, w, {}, 1, 1), w);
  Tensors parts(3);
  on_ranks(3, [&](Communicator& ranks) {
    const RowSplit split = split_evenly(6, 3);
    const at::Tensor own = leaves({weight})[0];
    SplitImage y = spatial_conv2d({split_rows(x, split, ranks.rank()), split}, own, {}, {.padding = {1, 1}}, ranks);
    y.rows = y.rows.tanh();
    y = spatial_conv2d(y, own, {}, {.padding = {1, 1}}, ranks);
    const at::Tensor gradient = torch::autograd::grad({y.rows.pow(3).sum()}, {own}, {}, true, true)[0];
    // The gradient is the sum of the ranks' parts: so is its product with 2.
    parts[static_cast<std::size_t>(ranks.rank())] = torch::autograd::grad({(gradient * 2).sum()}, {own})[0];
  });
  CHECK((parts[0] + parts[1] + parts[2] - expected).abs().max().item<double>() < 1e-11);
}

TEST_CASE("an exchange sends the rows of its list, forward and backward, and none where windows do not overlap") {
  const std::int64_t row_bytes = 2 * 4 * 6 * 8;  // [2, 4, 1, 6] doubles
  for (const auto& [kernel, padding] : {std::pair<std::int64_t, std::int64_t>{3, 1}, {5, 2}, {1, 0}})
    for (const int size : {2, 3, 4}) {
      const Case c = convolution(10, kernel, {.padding = {padding, 0}});
      const RowSplit split = split_evenly(10, size);
      const auto transfers = row_transfers(split, rows_needed({kernel, 1, padding, 1}, split, split));
      std::vector<Traffic> forward(static_cast<std::size_t>(size));
      std::vector<Traffic> both(static_cast<std::size_t>(size));
      on_ranks(size, [&](Communicator& ranks) {
        const auto rank = static_cast<std::size_t>(ranks.rank());
        const at::Tensor rows = leaves({split_rows(c.x, split, ranks.rank())})[0];
        const SplitImage y = c.split({rows, split}, c.parameters, ranks);
        forward[rank] = ranks.traffic();
        (void)torch::autograd::grad({y.rows.sum()}, {rows});
        both[rank] = ranks.traffic();
      });
      for (int rank = 0; rank < size; ++rank) {
        const auto r = static_cast<std::size_t>(rank);
        const std::int64_t neighbours = kernel == 1 ? 0 : (rank > 0 ? 1 : 0) + (rank + 1 < size ? 1 : 0);
        CHECK(forward[r].bytes == row_bytes * rows_sent(transfers, rank));
        CHECK(forward[r].bytes == row_bytes * padding * neighbours);
        CHECK(forward[r].messages == neighbours);
        CHECK(both[r].bytes - forward[r].bytes == row_bytes * rows_received(transfers, rank));
      }
    }
}

TEST_CASE("rows beyond the image, parts of another rank and windows that do not fit are refused") {
  const auto single = make_single_communicator();
  const at::Tensor x = at::zeros({1, 2, 4, 4});
  const RowSplit split = split_evenly(4, 1);
  const std::vector<RowRange> beyond{{-1, 3}};
  auto failed = failure([&] { (void)fetch_rows(x, split, beyond, *single); });
  CHECK(failed.code == Errc::InvalidArgument);
  CHECK_THAT(failed.text, Catch::Contains("rows [-1, 3) are needed of an image of 4 rows"));
  failed = failure([&] { (void)gather_rows(x, split_evenly(5, 1), *single); });
  CHECK_THAT(failed.text, Catch::Contains("with 5 rows, got [1, 2, 4, 4]"));
  failed = failure([&] { (void)spatial_conv2d({x, split}, at::zeros({2, 2, 5, 1}), {}, {}, *single); });
  CHECK_THAT(failed.text, Catch::Contains("does not fit into 4 rows"));
  failed = failure([&] { (void)spatial_upsample2d({x, split}, 0, Upsampling::Nearest, *single); });
  CHECK_THAT(failed.text, Catch::Contains("factor of 0"));
  failed = failure([&] { (void)split_rows(x, split, 1); });
  CHECK_THAT(failed.text, Catch::Contains("rank 1 has no rows in a split over 1 ranks"));
}
