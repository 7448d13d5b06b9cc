#include <ATen/ATen.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <charconv>
#include <memory>
#include <vector>

#include "models/families.hpp"
#include "models/load_network.hpp"

namespace halftone::internal {

namespace {

constexpr std::int64_t kVocabulary = 30522;
constexpr std::int64_t kPositions = 512;
constexpr std::int64_t kTokenTypes = 2;
constexpr std::int64_t kLayers = 12;
constexpr std::int64_t kHeads = 12;
constexpr std::int64_t kHidden = 768;
constexpr std::int64_t kInner = 3072;
constexpr std::int64_t kClasses = 2;

using Scope = std::shared_ptr<torch::nn::Module>;

/// A module that only adds its name to those of its children.
Scope scope(const Scope& parent, const std::string& name) {
  return parent->register_module(name, std::make_shared<torch::nn::Module>());
}

torch::nn::Linear linear(const Scope& parent, const std::string& name, std::int64_t in, std::int64_t out) {
  return parent->register_module(name, torch::nn::Linear(in, out));
}

torch::nn::LayerNorm layer_norm(const Scope& parent) {
  return parent->register_module("LayerNorm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({kHidden}).eps(1e-12)));
}

/// Token embedding plus those of position and of token type 0. [n, tokens] to [n, tokens, 768].
struct Embeddings {
  explicit Embeddings(const Scope& parent)
      : words(parent->register_module("word_embeddings", torch::nn::Embedding(kVocabulary, kHidden))),
        positions(parent->register_module("position_embeddings", torch::nn::Embedding(kPositions, kHidden))),
        types(parent->register_module("token_type_embeddings", torch::nn::Embedding(kTokenTypes, kHidden))),
        norm(layer_norm(parent)) {}

  at::Tensor operator()(const at::Tensor& ids) {
    const at::Tensor position = positions->weight.slice(0, 0, ids.size(1));
    return norm(words(ids) + types->weight.select(0, 0) + position);
  }

  torch::nn::Embedding words;
  torch::nn::Embedding positions;
  torch::nn::Embedding types;
  torch::nn::LayerNorm norm;
};

/// Attention and a network of two layers, each with a shortcut and a norm behind. [n, tokens, 768] to the same.
class Layer {
 public:
  explicit Layer(const Scope& parent) {
    const Scope attention = scope(parent, "attention");
    const Scope self = scope(attention, "self");
    query_ = linear(self, "query", kHidden, kHidden);
    key_ = linear(self, "key", kHidden, kHidden);
    value_ = linear(self, "value", kHidden, kHidden);
    const Scope mixed = scope(attention, "output");
    mix_ = linear(mixed, "dense", kHidden, kHidden);
    mix_norm_ = layer_norm(mixed);
    inner_ = linear(scope(parent, "intermediate"), "dense", kHidden, kInner);
    const Scope output = scope(parent, "output");
    outer_ = linear(output, "dense", kInner, kHidden);
    outer_norm_ = layer_norm(output);
  }

  at::Tensor operator()(const at::Tensor& x) {
    const auto heads = [&](const at::Tensor& y) {
      return y.view({x.size(0), x.size(1), kHeads, kHidden / kHeads}).transpose(1, 2);
    };
    const at::Tensor mixed = at::scaled_dot_product_attention(heads(query_(x)), heads(key_(x)), heads(value_(x)));
    const at::Tensor y = mix_norm_(x + mix_(mixed.transpose(1, 2).flatten(2)));
    return outer_norm_(y + outer_(at::gelu(inner_(y))));
  }

 private:
  torch::nn::Linear query_{nullptr};
  torch::nn::Linear key_{nullptr};
  torch::nn::Linear value_{nullptr};
  torch::nn::Linear mix_{nullptr};
  torch::nn::LayerNorm mix_norm_{nullptr};
  torch::nn::Linear inner_{nullptr};
  torch::nn::Linear outer_{nullptr};
  torch::nn::LayerNorm outer_norm_{nullptr};
};

/// Token ids [n, tokens] to [n, 2].
class BertBase : public torch::nn::Module {
 public:
  BertBase() {
    const Scope layers = scope(scope(bert_, "encoder"), "layer");
    for (std::int64_t i = 0; i < kLayers; ++i) layers_.emplace_back(scope(layers, std::to_string(i)));
    pooler_ = linear(scope(bert_, "pooler"), "dense", kHidden, kHidden);
    classes_ = register_module("classifier", torch::nn::Linear(kHidden, kClasses));
    draw();
  }

  at::Tensor forward(const at::Tensor& ids) {
    at::Tensor x = embeddings_(ids);
    for (auto& layer : layers_) x = layer(x);
    return classes_(at::tanh(pooler_(x.select(1, 0))));
  }

 private:
  /// As the paper's appendix A.2 says; norms stay as LibTorch makes them.
  void draw() {
    const at::NoGradGuard no_grad;
    for (auto& parameter : named_parameters()) {
      if (parameter.value().dim() == 2) parameter.value().normal_(0, 0.02);
      if (parameter.key().ends_with(".bias")) parameter.value().zero_();
    }
  }

  Scope bert_ = register_module("bert", std::make_shared<torch::nn::Module>());
  Embeddings embeddings_{scope(bert_, "embeddings")};
  std::vector<Layer> layers_;
  torch::nn::Linear pooler_{nullptr};
  torch::nn::Linear classes_{nullptr};
};

/// The tokens in "bert_base_32", 1 to 512; 128 for "bert_base".
std::optional<std::int64_t> tokens_of(const std::string& name) {
  constexpr std::string_view kPrefix = "bert_base_";
  if (name == "bert_base") return 128;
  if (!name.starts_with(kPrefix)) return std::nullopt;
  std::int64_t tokens = 0;
  const char* end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data() + kPrefix.size(), end, tokens);
  if (error != std::errc{} || rest != end || tokens < 1 || tokens > kPositions) return std::nullopt;
  return tokens;
}

std::optional<Architecture> find_bert(const std::string& name) {
  const auto tokens = tokens_of(name);
  if (!tokens) return std::nullopt;
  Architecture result;
  result.name = name;
  result.summary = "BERT-base with pooler and two classes at 128 tokens; bert_base_32 at 32 and so on, to 512";
  result.input_shape = {*tokens};
  result.vocabulary = kVocabulary;
  result.classes = kClasses;
  result.weights =
      "state dicts of Hugging Face's BertForSequenceClassification (bert.embeddings.word_embeddings.weight …) as "
      "safetensors";
  result.load = [name, tokens = *tokens](const WeightsFile& weights, std::uint64_t seed) {
    // Ids that differ from token to token: capture proves itself on them.
    const at::Tensor ids = at::arange(2 * tokens).mul(7919).remainder(kVocabulary).view({2, tokens});
    return load_network<BertBase>(name, weights, seed, ids);
  };
  return result;
}

}  // namespace

ArchitectureFamily bert_bases() { return {.names = {"bert_base"}, .find = find_bert}; }

}  // namespace halftone::internal
