"""Prints the logits that architectures_test.cpp expects, from networks written as functions, with weights and inputs
worked out from their names and positions. Needs PyTorch."""
import torch
import torch.nn.functional as F


def draw(name, count):
    """`count` numbers in [0, 1), the same wherever integers have 64 bits; the seed is the FNV-1a hash of `name`."""
    seed = 2166136261
    for byte in name.encode():
        seed = (seed ^ byte) * 16777619 % 2**32
    x = (torch.arange(count) * 2654435761 + seed) % 2**32
    x = (x ^ (x >> 16)) * 73244475 % 2**32
    return (x ^ (x >> 16)).double() / 2**32


def tensor(name, *shape):
    u = draw(name, torch.Size(shape).numel()).view(shape)
    if name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
        u = 0.5 + u
    elif len(shape) == 1:
        u = (u - 0.5) / 5
    elif name.endswith("weight"):
        u = (2 * u - 1) * (6 / (u.numel() / shape[0])) ** 0.5
    else:
        u = 2 * u - 1
    return u.float()


def norm(x, name, eps):
    c = x.size(1)
    return F.batch_norm(x, tensor(name + ".running_mean", c), tensor(name + ".running_var", c),
                        tensor(name + ".weight", c), tensor(name + ".bias", c), eps=eps)


def same(x, kernel, stride):
    """Zeros as TensorFlow's SAME: left, right, top, bottom."""
    pads = []
    for size, k in ((x.size(3), kernel[1]), (x.size(2), kernel[0])):
        total = max((-(-size // stride) - 1) * stride + k - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)


def tf_conv(x, name, out, kernel, stride=1, depthwise=False, bias=False):
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    weight = tensor(name + ".weight", out, 1 if depthwise else x.size(1), *kernel)
    return F.conv2d(same(x, kernel, stride), weight, tensor(name + ".bias", out) if bias else None, stride,
                    groups=out if depthwise else 1)


def linear(x, name, out):
    return F.linear(x, tensor(name + ".weight", out, x.size(1)), tensor(name + ".bias", out))


def mobilenet_v1(x):
    x = F.relu6(norm(tf_conv(x, "conv1", 24, 3, 2), "conv1_bn", 1e-3))
    widths = [48, 96, 96, 192, 192, 384, 384, 384, 384, 384, 384, 768, 768]
    for i, width in enumerate(widths, 1):
        stride = 2 if i in (2, 4, 6, 12) else 1
        x = F.relu6(norm(tf_conv(x, f"conv_dw_{i}", x.size(1), 3, stride, True), f"conv_dw_{i}_bn", 1e-3))
        x = F.relu6(norm(tf_conv(x, f"conv_pw_{i}", width, 1), f"conv_pw_{i}_bn", 1e-3))
    return tf_conv(x.mean((2, 3), keepdim=True), "conv_preds", 1000, 1, bias=True).flatten(1)


def efficientnet_lite0(x):
    x = F.relu6(norm(tf_conv(x, "_conv_stem", 32, 3, 2), "_bn0", 1e-3))
    #          kernel, stride, expansion, width
    blocks = [(3, 1, 1, 16), (3, 2, 6, 24), (3, 1, 6, 24), (5, 2, 6, 40), (5, 1, 6, 40), (3, 2, 6, 80), (3, 1, 6, 80),
              (3, 1, 6, 80), (5, 1, 6, 112), (5, 1, 6, 112), (5, 1, 6, 112), (5, 2, 6, 192), (5, 1, 6, 192),
              (5, 1, 6, 192), (5, 1, 6, 192), (3, 1, 6, 320)]
    for i, (kernel, stride, expansion, width) in enumerate(blocks):
        name = f"_blocks.{i}."
        y = x
        if expansion > 1:
            y = F.relu6(norm(tf_conv(y, name + "_expand_conv", 6 * x.size(1), 1), name + "_bn0", 1e-3))
        y = F.relu6(norm(tf_conv(y, name + "_depthwise_conv", y.size(1), kernel, stride, True), name + "_bn1", 1e-3))
        y = norm(tf_conv(y, name + "_project_conv", width, 1), name + "_bn2", 1e-3)
        x = x + y if y.shape == x.shape else y
    x = F.relu6(norm(tf_conv(x, "_conv_head", 1280, 1), "_bn1", 1e-3))
    return linear(x.mean((2, 3)), "_fc", 1000)


def mobilenet_v2(x):
    def conv(x, name, out, kernel, stride=1, depthwise=False):
        weight = tensor(name + ".weight", out, 1 if depthwise else x.size(1), kernel, kernel)
        return F.conv2d(x, weight, None, stride, kernel // 2, groups=out if depthwise else 1)

    def unit(x, name, *args):
        return F.relu6(norm(conv(x, name + ".0", *args), name + ".1", 1e-5))

    x = unit(x, "features.0", 32, 3, 2)
    widths = [16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320]
    for i, width in enumerate(widths, 1):
        stride = 2 if i in (2, 4, 7, 14) else 1
        name = f"features.{i}.conv."
        y, part = x, 0
        if i > 1:
            y, part = unit(x, name + "0", 6 * x.size(1), 1), 1
        y = unit(y, f"{name}{part}", y.size(1), 3, stride, True)
        y = norm(conv(y, f"{name}{part + 1}", width, 1), f"{name}{part + 2}", 1e-5)
        x = x + y if y.shape == x.shape else y
    return linear(unit(x, "features.18", 1280, 1).mean((2, 3)), "classifier.1", 1000)


def kws_dscnn(x):
    x = F.relu(norm(tf_conv(x, "conv1", 64, (10, 4), 2, bias=True), "bn1", 1e-3))
    for i in range(1, 5):
        x = F.relu(norm(tf_conv(x, f"block{i}.dw", 64, 3, 1, True, True), f"block{i}.dw_bn", 1e-3))
        x = F.relu(norm(tf_conv(x, f"block{i}.pw", 64, 1, bias=True), f"block{i}.pw_bn", 1e-3))
    return linear(x.mean((2, 3)), "fc", 12)


def resnet(x, counts, bottleneck):
    def unit(x, conv, bn, out, kernel, stride=1):
        weight = tensor(conv + ".weight", out, x.size(1), kernel, kernel)
        return norm(F.conv2d(x, weight, None, stride, kernel // 2), bn, 1e-5)

    x = F.max_pool2d(F.relu(unit(x, "conv1", "bn1", 64, 7, 2)), 3, 2, 1)
    for layer, blocks in enumerate(counts, 1):
        width = 32 * 2**layer
        for i in range(blocks):
            name = f"layer{layer}.{i}."
            stride = 2 if layer > 1 and i == 0 else 1
            if bottleneck:
                y = F.relu(unit(x, name + "conv1", name + "bn1", width, 1))
                y = F.relu(unit(y, name + "conv2", name + "bn2", width, 3, stride))
                y = unit(y, name + "conv3", name + "bn3", 4 * width, 1)
            else:
                y = F.relu(unit(x, name + "conv1", name + "bn1", width, 3, stride))
                y = unit(y, name + "conv2", name + "bn2", width, 3)
            if y.shape != x.shape:
                x = unit(x, name + "downsample.0", name + "downsample.1", y.size(1), 1, stride)
            x = F.relu(x + y)
    return linear(x.mean((2, 3)), "fc", 1000)


def fashion_resnet8(x):
    def unit(x, conv, bn, out, stride=1):
        weight = tensor(conv + ".weight", out, x.size(1), 3, 3)
        return norm(F.conv2d(x, weight, None, stride, 1), bn, 1e-5)

    x = F.relu(unit(x, "conv1", "bn1", 16))
    for layer, width in enumerate((16, 32, 64), 1):
        stride = 1 if layer == 1 else 2
        name = f"layer{layer}.0."
        y = F.relu(unit(x, name + "conv1", name + "bn1", width, stride))
        y = unit(y, name + "conv2", name + "bn2", width)
        added = (width - x.size(1)) // 2
        x = F.relu(y + F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, added, added)))
    return linear(x.mean((2, 3)), "linear", 10)


def encoder(ids, mask, root, layers, width):
    """Hidden states [n, tokens, width] of BERT with 12 heads; nothing looks at tokens whose mask is 0."""
    def layer_norm(x, name):
        x = x - x.mean(-1, keepdim=True)
        x = x / (x.square().mean(-1, keepdim=True) + 1e-12).sqrt()
        return x * tensor(name + ".LayerNorm.weight", width) + tensor(name + ".LayerNorm.bias", width)

    def embedding(name, count):
        return tensor(f"{root}embeddings.{name}_embeddings.weight", count, width)

    def heads(x):
        return x.view(*x.shape[:2], 12, width // 12).permute(0, 2, 1, 3)

    x = embedding("word", 30522)[ids] + embedding("position", 512)[:ids.size(1)] + embedding("token_type", 2)[0]
    x = layer_norm(x, root + "embeddings")
    for i in range(layers):
        name = f"{root}encoder.layer.{i}."
        query, key, value = (heads(dense(x, f"{name}attention.self.{part}", width)) for part in ("query", "key", "value"))
        shares = (query @ key.mT / (width // 12) ** 0.5).exp() * mask[:, None, None, :]
        shares = shares / shares.sum(-1, keepdim=True)
        mixed = (shares @ value).permute(0, 2, 1, 3).reshape(x.shape)
        x = layer_norm(x + dense(mixed, name + "attention.output.dense", width), name + "attention.output")
        inner = dense(x, name + "intermediate.dense", 4 * width)
        inner = inner * (1 + torch.erf(inner / 2**0.5)) / 2
        x = layer_norm(x + dense(inner, name + "output.dense", width), name + "output")
    return x


def dense(x, name, out):
    return x @ tensor(name + ".weight", out, x.size(-1)).T + tensor(name + ".bias", out)


def bert_base(ids):
    x = encoder(ids, torch.ones(ids.shape), "bert.", 12, 768)
    return dense(torch.tanh(dense(x[:, 0], "bert.pooler.dense", 768)), "classifier", 2)


def minilm_l6(ids):
    """The last two tokens of the second sample are padding."""
    mask = torch.ones(ids.shape)
    mask[1, -2:] = 0
    x = encoder(ids, mask, "", 6, 384)
    mean = torch.stack([row[kept > 0].mean(0) for row, kept in zip(x, mask)])
    return mean / mean.norm(dim=1, keepdim=True)


def token_ids(*shape):
    return (torch.arange(torch.Size(shape).numel()) * 7919 % 30522).view(shape)


with torch.no_grad():
    for name, network, shape in [("mobilenet_v1_0.75", mobilenet_v1, (2, 3, 224, 224)),
                                 ("mobilenet_v2", mobilenet_v2, (2, 3, 224, 224)),
                                 ("efficientnet_lite0", efficientnet_lite0, (2, 3, 224, 224)),
                                 ("resnet18", lambda x: resnet(x, [2, 2, 2, 2], False), (2, 3, 224, 224)),
                                 ("resnet34", lambda x: resnet(x, [3, 4, 6, 3], False), (2, 3, 224, 224)),
                                 ("resnet50", lambda x: resnet(x, [3, 4, 6, 3], True), (2, 3, 224, 224)),
                                 ("kws_dscnn", kws_dscnn, (2, 1, 49, 10)),
                                 ("fashion_resnet8", fashion_resnet8, (2, 1, 28, 28)),
                                 ("bert_base_8", bert_base, (2, 8)),
                                 ("minilm_l6_8", minilm_l6, (2, 8))]:
        logits = network(token_ids(*shape) if len(shape) == 2 else tensor("input", *shape))
        values = ", ".join(f"{value:.5f}" for value in logits[:, :4].flatten().tolist())
        print(f'{{"{name}", {logits.mean():.5f}, {logits.std():.5f}, {{{values}}}}},')
