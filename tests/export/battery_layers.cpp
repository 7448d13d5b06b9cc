#include <ATen/ATen.h>

#include <cmath>

#include "export/battery.hpp"

namespace battery {
namespace {

/// Outputs that differ in size, so that one convolution can stand before all of them.
at::Tensor stem(const Tensors& x, const Weights& w) {
  return at::conv2d(x[0], w("stem.weight", {4, x[0].size(1), 3, 3}), w("stem.bias", {4}), 1, 1);
}

at::Tensor linear(const at::Tensor& x, const Weights& w, const std::string& name, std::int64_t out) {
  return at::linear(x, w(name + ".weight", {out, x.size(-1)}), w(name + ".bias", {out}));
}

/// [n, t, c] to heads [n, 2, t, c / 2].
at::Tensor heads(const at::Tensor& x) { return x.view({x.size(0), x.size(1), 2, x.size(2) / 2}).transpose(1, 2); }

enum class Mask { None, Float, Bool, Rows, Causal };

Network attention(const std::string& name, Mask kind, const halftone::SiteOptions& sites = {}) {
  return network(
      name, {{6, 8}},
      [kind](const Tensors& x, const Weights& w) -> Tensors {
        const auto parts = linear(x[0], w, "qkv", 24).chunk(3, -1);
        std::optional<at::Tensor> mask;
        if (kind == Mask::Float) mask = w("mask", {1, 1, 6, 6});
        if (kind == Mask::Bool) mask = w("mask", {6, 6}) > -0.3;
        if (kind == Mask::Rows) mask = at::logical_and(w("mask", {6, 6}) > -0.3, w("rows", {6, 1}) > 0);
        const auto scale = kind == Mask::Float ? std::optional(0.7) : std::nullopt;
        const auto y = at::scaled_dot_product_attention(heads(parts[0]), heads(parts[1]), heads(parts[2]), mask, 0.0,
                                                        kind == Mask::Causal, scale);
        return {linear(y.transpose(1, 2).reshape({x[0].size(0), 6, 8}), w, "proj", 8) + x[0]};
      },
      sites);
}

/// Pre-norm, explicit attention by bmm over batch times heads, as nn::MultiheadAttention writes it.
Network transformer_block(const std::string& name, const halftone::SiteOptions& sites = {}) {
  return network(
      name, {{6, 8}},
      [](const Tensors& x, const Weights& w) -> Tensors {
        const std::int64_t n = x[0].size(0);
        const auto h = at::layer_norm(x[0], {8}, w("norm1.weight", {8}), w("norm1.bias", {8})).transpose(0, 1);
        const auto parts = linear(h, w, "qkv", 24).chunk(3, -1);
        const auto split = [&](const at::Tensor& y) { return y.contiguous().view({6, n * 2, 4}).transpose(0, 1); };
        const auto shares = at::softmax(at::bmm(split(parts[0]) * 0.5, split(parts[1]).transpose(1, 2)), -1);
        const auto mixed = at::bmm(at::dropout(shares, 0.1, false), split(parts[2])).transpose(0, 1);
        const auto y = x[0] + linear(mixed.contiguous().view({6, n, 8}), w, "proj", 8).transpose(0, 1);
        const auto z = at::layer_norm(y, {8}, w("norm2.weight", {8}), w("norm2.bias", {8}));
        return {y + linear(at::gelu(linear(z, w, "fc1", 16)), w, "fc2", 8)};
      },
      sites);
}

Network embedding() {
  const auto tokens = at::arange(5 * kCalibrated).view({kCalibrated, 5}).remainder(7);
  return network_on("embedding", {tokens}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto y = at::embedding(w("words.weight", {7, 8}), x[0]) + w("positions.weight", {5, 8});
    const auto kept = at::masked_fill(y, at::eq(x[0], 0).unsqueeze(-1), 0.0);
    return {linear(kept, w, "fc", 4)};
  });
}

}  // namespace

std::vector<Network> products() {
  const halftone::SiteOptions sites{.products = true};
  std::vector<Network> list;
  list.push_back(attention("attention_products", Mask::None, sites));
  list.push_back(attention("attention_products_float_mask", Mask::Float, sites));
  list.push_back(attention("attention_products_masked_rows", Mask::Rows, sites));
  list.push_back(transformer_block("transformer_products", sites));
  return list;
}

std::vector<Network> layers() {
  std::vector<Network> list;
  list.push_back(network("max_pools", {{3, 9, 8}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto y = stem(x, w);
    return {at::max_pool2d(y, 3, 2, 1),          at::max_pool2d(y, {2, 3}),
            at::max_pool2d(y, 3, 2, 0, 1, true), at::max_pool2d(y, 3, 3, 1, 1, true),
            at::max_pool2d(y, 2, 2, 1, 2, true), at::max_pool1d(y.flatten(2), 4)};
  }));
  list.push_back(network("average_pools", {{3, 9, 8}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto y = stem(x, w);
    return {at::avg_pool2d(y, 2),
            at::avg_pool2d(y, 3, 2, 1, false, true),
            at::avg_pool2d(y, 3, 2, 1, false, false),
            at::avg_pool2d(y, 3, 2, 1, true, true),
            at::avg_pool2d(y, 2, 3, 0, true, false),
            at::avg_pool2d(y, 4, 3, 1, true, false),
            at::avg_pool1d(y.flatten(2), {5}, {5}, {2}, true, true),
            at::adaptive_avg_pool2d(y, {1, 1}),
            at::adaptive_avg_pool2d(y, {3, 2}),
            at::adaptive_avg_pool1d(y.flatten(2), {6})};
  }));
  list.push_back(network("norms", {{3, 4, 5}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto y = stem(x, w);
    return {at::group_norm(y, 2, w("group.weight", {4}), w("group.bias", {4}), 1e-3), at::group_norm(y, 4),
            at::layer_norm(y, {5}, w("last.weight", {5}), w("last.bias", {5})), at::layer_norm(y, {4, 5}),
            at::layer_norm(y.to(at::kDouble), {5})};
  }));
  list.push_back(network("reductions", {{3, 4, 5}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto y = stem(x, w);
    return {y.mean({2, 3}),
            y.mean({-1}, true),
            y.mean(),
            y.sum({1}, true),
            y.sum(),
            at::softmax(y, 1),
            at::log_softmax(y, -1),
            y.sum({2}, false, at::kDouble),
            (y > 0).sum({-1}),
            y.mean({0}, true)};
  }));
  list.push_back(network("products", {{6}, {3, 6}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto a = linear(x[0], w, "a", 6);
    const auto b = linear(x[1], w, "b", 6);
    const auto square = at::matmul(b, b.transpose(1, 2));
    return {at::addmm(w("bias", {4}), a, w("raw", {6, 4})),
            at::linear(b, w("c.weight", {2, 6})),
            square,
            at::baddbmm(square, b, b.mT()),
            at::matmul(b, a.unsqueeze(-1)),
            at::mm(a.t(), a)};
  }));
  list.push_back(network("shared_weight", {{6}}, [](const Tensors& x, const Weights& w) -> Tensors {
    return {at::linear(at::relu(at::linear(x[0], w("fc.weight", {6, 6}))), w("fc.weight", {6, 6}))};
  }));
  list.push_back(network("parameter_read", {{5, 8}}, [](const Tensors& x, const Weights& w) -> Tensors {
    const auto queries = at::linear(w("queries", {3, 6}), w("q.weight", {4, 6}));
    return {at::matmul(linear(x[0], w, "k", 4), queries.t())};
  }));
  list.push_back(attention("attention", Mask::None));
  list.push_back(attention("attention_float_mask", Mask::Float));
  list.push_back(attention("attention_bool_mask", Mask::Bool));
  list.push_back(attention("attention_masked_rows", Mask::Rows));
  list.push_back(attention("attention_causal", Mask::Causal));
  list.push_back(transformer_block("transformer_block"));
  list.push_back(embedding());
  list.push_back(network("upsampling", {{3, 4, 5}}, [](const Tensors& x, const Weights& w) -> Tensors {
    using Factors = at::ArrayRef<double>;
    const auto y = stem(x, w);
    return {at::upsample_nearest2d(y, {8, 10}),
            at::upsample_nearest2d(y, {7, 11}),
            at::upsample_nearest2d(y, std::nullopt, Factors({1.5, 2.5})),
            at::upsample_bilinear2d(y, {8, 10}, false),
            at::upsample_bilinear2d(y, {7, 3}, true),
            at::upsample_bilinear2d(y, std::nullopt, false, Factors({1.4, 0.7})),
            at::upsample_nearest1d(y.flatten(2), {33}),
            at::upsample_linear1d(y.flatten(2), {27}, false),
            at::pixel_shuffle(y, 2)};
  }));
  return list;
}

}  // namespace battery
