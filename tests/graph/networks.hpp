#pragma once

#include <torch/script.h>
#include <torch/torch.h>

#include <string>

/// Convolutions, pooling, concatenation: an inception-like net. [n, 3, 16, 16] to [n, 7].
struct ConcatNet : torch::nn::Module {
  torch::nn::Conv2d stem = register_module("stem", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 8, 3).padding(1)));
  torch::nn::BatchNorm2d norm = register_module("norm", torch::nn::BatchNorm2d(8));
  torch::nn::Conv2d left = register_module("left", torch::nn::Conv2d(torch::nn::Conv2dOptions(8, 6, 1)));
  torch::nn::Conv2d right =
      register_module("right", torch::nn::Conv2d(torch::nn::Conv2dOptions(8, 10, 3).padding(1).groups(2)));
  torch::nn::Linear head = register_module("head", torch::nn::Linear(16 * 4 * 4, 7));
  torch::nn::Dropout dropout = register_module("dropout", torch::nn::Dropout(0.5));

  torch::Tensor forward(const torch::Tensor& x) {
    auto y = torch::max_pool2d(torch::relu(norm(stem(x))), 2);
    y = torch::cat({left(y).relu_(), right(y).relu_()}, 1);
    y = torch::avg_pool2d(y, 2);
    return head(dropout(y.view({y.size(0), -1})));
  }

  static std::string script() {
    return R"(
def forward(self, x):
    y = torch.conv2d(x, self.stem.weight, self.stem.bias, [1, 1], [1, 1])
    y = torch.batch_norm(y, self.norm.weight, self.norm.bias, self.norm.running_mean, self.norm.running_var, False, 0.1, 1e-05, True)
    y = torch.max_pool2d(torch.relu(y), [2, 2])
    l = torch.relu_(torch.conv2d(y, self.left.weight, self.left.bias))
    r = torch.relu_(torch.conv2d(y, self.right.weight, self.right.bias, [1, 1], [1, 1], [1, 1], 2))
    y = torch.avg_pool2d(torch.cat([l, r], 1), [2, 2])
    return torch.linear(y.view(y.size(0), -1), self.head.weight, self.head.bias)
)";
  }
};

/// One pre-norm transformer block with explicit (matmul + softmax) or fused attention. [n, 6, 16] to [n, 6, 16].
struct TransformerBlock : torch::nn::Module {
  explicit TransformerBlock(bool fuse) : fused(fuse) {}

  bool fused;
  torch::nn::LayerNorm norm1 = register_module("norm1", torch::nn::LayerNorm(torch::nn::LayerNormOptions({16})));
  torch::nn::Linear qkv = register_module("qkv", torch::nn::Linear(16, 48));
  torch::nn::Linear proj = register_module("proj", torch::nn::Linear(16, 16));
  torch::nn::LayerNorm norm2 = register_module("norm2", torch::nn::LayerNorm(torch::nn::LayerNormOptions({16})));
  torch::nn::Linear fc1 = register_module("fc1", torch::nn::Linear(16, 32));
  torch::nn::Linear fc2 = register_module("fc2", torch::nn::Linear(32, 16));

  torch::Tensor forward(const torch::Tensor& x) {
    const auto parts = qkv(norm1(x)).view({x.size(0), x.size(1), 3, 4, 4}).permute({2, 0, 3, 1, 4}).unbind(0);
    torch::Tensor mixed;
    if (fused) {
      mixed = at::scaled_dot_product_attention(parts[0], parts[1], parts[2]);
    } else {
      mixed = torch::matmul(torch::softmax(torch::matmul(parts[0], parts[1].transpose(-2, -1)) / 2.0, -1), parts[2]);
    }
    const auto y = x + proj(mixed.transpose(1, 2).reshape({x.size(0), x.size(1), 16}));
    return y + fc2(torch::gelu(fc1(norm2(y))));
  }

  static std::string script(bool fused) {
    const std::string attention =
        fused ? "    m = torch.scaled_dot_product_attention(p[0], p[1], p[2])\n"
              : "    m = torch.matmul(torch.softmax(torch.matmul(p[0], p[1].transpose(-2, -1)) / 2.0, -1), p[2])\n";
    return R"(
def forward(self, x):
    n, t, c = x.size(0), x.size(1), 16
    h = torch.layer_norm(x, [16], self.norm1.weight, self.norm1.bias)
    h = torch.linear(h, self.qkv.weight, self.qkv.bias)
    p = torch.unbind(h.view(n, t, 3, 4, 4).permute(2, 0, 3, 1, 4), 0)
)" + attention +
           R"(
    y = x + torch.linear(m.transpose(1, 2).reshape(n, t, c), self.proj.weight, self.proj.bias)
    h = torch.layer_norm(y, [16], self.norm2.weight, self.norm2.bias)
    h = torch.gelu(torch.linear(h, self.fc1.weight, self.fc1.bias))
    return y + torch.linear(h, self.fc2.weight, self.fc2.bias)
)";
  }
};

/// A TorchScript module with the parameters and buffers of `network` and the given forward.
inline torch::jit::Module to_script(const torch::nn::Module& network, const std::string& source,
                                    const std::string& name = "net") {
  torch::jit::Module module(name);
  for (const auto& item : network.named_parameters(false)) module.register_parameter(item.key(), item.value(), false);
  for (const auto& item : network.named_buffers(false)) module.register_buffer(item.key(), item.value());
  for (const auto& child : network.named_children())
    module.register_module(child.key(), to_script(*child.value(), "", name + "_" + child.key()));
  if (!source.empty()) module.define(source);
  module.eval();
  return module;
}

/// TorchScript source of a CIFAR ResNet with `blocks` blocks a layer, option-A shortcuts.
inline std::string cifar_resnet_script(int blocks) {
  const auto conv_bn = [](const std::string& module, const std::string& conv, const std::string& bn,
                          const std::string& in, int stride) {
    const std::string c = module + conv;
    const std::string b = module + bn;
    const auto s = std::to_string(stride);
    return "torch.batch_norm(torch.conv2d(" + in + ", " + c + ".weight, None, [" + s + ", " + s + "], [1, 1]), " + b +
           ".weight, " + b + ".bias, " + b + ".running_mean, " + b + ".running_var, False, 0.1, 1e-05, True)";
  };
  std::string code = "def forward(self, x):\n    x = torch.relu(" + conv_bn("self.", "conv1", "bn1", "x", 1) + ")\n";
  for (int layer = 1; layer <= 3; ++layer)
    for (int block = 0; block < blocks; ++block) {
      const std::string m = "getattr(self.layer" + std::to_string(layer) + ", \"" + std::to_string(block) + "\").";
      const bool shrinks = layer > 1 && block == 0;
      code += "    y = torch.relu(" + conv_bn(m, "conv1", "bn1", "x", shrinks ? 2 : 1) + ")\n";
      code += "    y = " + conv_bn(m, "conv2", "bn2", "y", 1) + "\n";
      if (shrinks) {
        const auto pad = std::to_string(layer == 2 ? 8 : 16);
        code += "    x = torch.constant_pad_nd(x[:, :, ::2, ::2], [0, 0, 0, 0, " + pad + ", " + pad + "])\n";
      }
      code += "    x = torch.relu(y + x)\n";
    }
  return code +
         "    x = torch.flatten(torch.adaptive_avg_pool2d(x, [1, 1]), 1)\n"
         "    return torch.linear(x, self.linear.weight, self.linear.bias)\n";
}

/// Gives batch norms statistics and factors that are not trivial.
inline void randomize_batch_norm(torch::nn::Module& network) {
  const torch::NoGradGuard no_grad;
  for (auto& item : network.named_buffers())
    if (item.key().ends_with("running_mean"))
      item.value().uniform_(-0.5, 0.5);
    else if (item.key().ends_with("running_var"))
      item.value().uniform_(0.5, 2.0);
  for (auto& item : network.named_parameters())
    if (item.key().find("bn") != std::string::npos || item.key().find("norm") != std::string::npos)
      item.value().uniform_(0.5, 1.5);
}
