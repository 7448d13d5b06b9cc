"""Exports small networks as .pt2 archives, with what PyTorch itself computes: the reference of the C++ reader.

usage: export_battery.py FOLDER

For each network FOLDER/<name>.pt2 and FOLDER/<name>.safetensors with, for each set of inputs k (the first is that of the
export, others have other sizes): "<k>.input.<i>", "<k>.output.<i>", "<k>.cotangent.<i>" for floating outputs that have
a gradient, and "<k>.gradient.<name>" of the sum of outputs times cotangents, for every parameter that has one.
FOLDER/<name>.refused.pt2 are archives that must be refused.
"""

import json
import math
import struct
import sys
from pathlib import Path

import torch
from torch import nn
from torch.export import Dim, export, save
from torch.nn import functional as F

DTYPES = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64", torch.int32: "I32", torch.bool: "BOOL"}
BATCH = {0: Dim("batch", min=1, max=64)}
LENGTH = {0: Dim("batch", min=1, max=64), 1: Dim("length", min=2, max=32)}


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, tensor in tensors.items():
        content = tensor.detach().contiguous()
        raw = bytes(content.view(-1).view(torch.uint8).tolist()) if content.numel() else b""
        header[name] = {
            "dtype": DTYPES[content.dtype],
            "shape": list(content.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


class Fn(nn.Module):
    """A function of a tensor, and the modules it uses."""

    def __init__(self, forward, **modules):
        super().__init__()
        for name, module in modules.items():
            setattr(self, name, module)
        self.function = forward

    def forward(self, x):
        return self.function(self, x)


class ConvBn(nn.Sequential):
    def __init__(self, inputs, outputs, kernel, activation=None, **options):
        parts = [nn.Conv2d(inputs, outputs, kernel, bias=False, **options), nn.BatchNorm2d(outputs)]
        super().__init__(*parts, *([activation] if activation else []))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = ConvBn(3, 8, 3, nn.ReLU(inplace=True), padding=1)
        self.a = ConvBn(8, 8, 3, nn.ReLU(inplace=True), padding=1)
        self.b = ConvBn(8, 8, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = self.stem(x)
        x = F.max_pool2d(x, 3, 2, 1)
        y = self.b(self.a(x))
        y += x
        return self.fc(torch.flatten(self.pool(F.relu(y)), 1))


class Mobile(nn.Module):
    def __init__(self, activation):
        super().__init__()
        self.stem = ConvBn(3, 8, 3, activation(), stride=2, padding=1)
        self.depth = ConvBn(8, 8, 3, activation(), padding=1, groups=8)
        self.squeeze = nn.Conv2d(8, 2, 1)
        self.excite = nn.Conv2d(2, 8, 1)
        self.project = ConvBn(8, 6, 1)
        self.fc = nn.Linear(6, 4)

    def forward(self, x):
        x = self.depth(self.stem(x))
        gate = F.hardsigmoid(self.excite(F.silu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        return self.fc(self.project(x * gate).mean([2, 3]))


class Inception(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(4, 3, 1)
        self.three = nn.Conv2d(4, 3, 3, padding=1)
        self.pool = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        return torch.cat([self.one(x), self.three(x), self.pool(F.avg_pool2d(x, 3, 1, 1))], dim=1).relu()


class Attention(nn.Module):
    def __init__(self, explicit=False):
        super().__init__()
        self.qkv = nn.Linear(16, 48)
        self.out = nn.Linear(16, 16)
        self.explicit = explicit

    def forward(self, x, mask=None):
        b, n, c = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, 4, c // 4).permute(2, 0, 3, 1, 4).unbind(0)
        if self.explicit:
            scores = torch.matmul(q, k.transpose(-2, -1)) / math.sqrt(c // 4)
            if mask is not None:
                scores = scores.masked_fill(~mask[:, None, None, :], float("-inf"))
            y = torch.matmul(scores.softmax(-1), v)
        else:
            y = F.scaled_dot_product_attention(q, k, v, None if mask is None else mask[:, None, None, :])
        return self.out(y.transpose(1, 2).reshape(b, n, c))


class Bert(nn.Module):
    """Embeddings with padding, positions from a buffer that is not saved, tied output weights."""

    def __init__(self):
        super().__init__()
        self.word = nn.Embedding(20, 16, padding_idx=0)
        self.position = nn.Embedding(32, 16)
        self.norm = nn.LayerNorm(16)
        self.attention = Attention()
        self.up = nn.Linear(16, 32)
        self.down = nn.Linear(32, 16)
        self.decoder = nn.Linear(16, 20)
        self.decoder.weight = self.word.weight
        self.register_buffer("ids", torch.arange(32).expand(1, -1), persistent=False)

    def forward(self, input_ids, attention_mask):
        x = self.norm(self.word(input_ids) + self.position(self.ids[:, : input_ids.size(1)]))
        x = x + self.attention(x, attention_mask)
        x = x + self.down(F.gelu(self.up(x)))
        return self.decoder(x)


class RmsNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(12) + 0.5)
        self.fc = nn.Linear(12, 12)

    def forward(self, x):
        return self.fc(x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight)


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, batch, *, scale, offset=0.25, flip: bool = False):
        left, (middle, right) = batch["left"], batch["rest"]
        y = self.fc(left) * scale + middle - offset
        return {"main": y, "more": [y.flip(0) if flip else y.neg(), (right.cos(), None)], "size": left.shape[0]}


class Constants(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(5, 5)
        self.register_buffer("mean", torch.rand(5))
        self.register_buffer("window", torch.hann_window(5), persistent=False)
        self.plain = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])

    def forward(self, x):
        order = torch.tensor([4, 2, 0])
        y = (self.fc(x - self.mean) * self.window + self.plain)[:, order]
        return y * torch.tensor(0.5) + 1, y + x.new_zeros(x.shape[0], 3) + torch.arange(3, device=x.device)


class Slices(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        a, b = self.fc(x).chunk(2, 1)
        c, d, e = x.split([1, 3, 4], dim=1)
        y = torch.where(a > 0, a, b * 0.1).masked_fill(b > 1.5, 2.0)
        z = torch.stack([y[:, ::2], y[:, 1::2]], 1).sum(1)
        y[:, 0] = c[:, 0]
        return y, z + e[:, :2] - d[:, -2:], torch.clamp(e, -0.5, 0.5).tril()


class Symbols(nn.Module):
    """Arithmetic on sizes."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x, y):
        b, n, c = x.shape
        flat = self.fc(x.view(b * n, c))
        half = x[:, : n // 2]
        joined = torch.cat([x, y], 1)
        m = joined.shape[1]
        steps = torch.arange(m, dtype=x.dtype).view(1, m, 1) / m
        padded = F.pad(joined, (0, 0, 0, 3))
        mean = joined.sum(1) * (1.0 / (m + 2 * b - 1))
        return flat.reshape(b, n * c), half.mean(1), joined + steps, padded.sum(1) / (m % 3 + 1), mean * (-n + 2 * m)


class NoGrad(nn.Module):
    def __init__(self):
        super().__init__()
        self.teacher = nn.Linear(4, 4)
        self.student = nn.Linear(4, 4)

    def forward(self, x):
        with torch.no_grad():
            gate = self.teacher(x).sigmoid()
            shift = x.mean(0, keepdim=True)
        return self.student(x) * gate + shift


class Decoder(nn.Module):
    """Causal attention with rotary positions and shared keys, gated feed-forward."""

    def __init__(self):
        super().__init__()
        self.word = nn.Embedding(20, 16)
        self.norm = nn.RMSNorm(16)
        self.q = nn.Linear(16, 16, bias=False)
        self.kv = nn.Linear(16, 16, bias=False)
        self.gate = nn.Linear(16, 24, bias=False)
        self.up = nn.Linear(16, 24, bias=False)
        self.down = nn.Linear(24, 16, bias=False)
        self.register_buffer("frequency", 100.0 ** (-torch.arange(0, 4, 2) / 4), persistent=False)

    def rotate(self, x):
        angle = torch.arange(x.shape[2])[:, None] * self.frequency
        angle = torch.cat([angle, angle], -1)
        a, b = x.chunk(2, -1)
        return x * angle.cos() + torch.cat([-b, a], -1) * angle.sin()

    def forward(self, ids):
        x = self.word(ids)
        b, n, _ = x.shape
        y = self.norm(x)
        q = self.rotate(self.q(y).view(b, n, 4, 4).transpose(1, 2))
        k, v = self.kv(y).view(b, n, 2, 2, 4).permute(2, 0, 3, 1, 4)
        k, v = self.rotate(k).repeat_interleave(2, 1), v.repeat_interleave(2, 1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + y.transpose(1, 2).reshape(b, n, 16)
        return x + self.down(F.silu(self.gate(x)) * self.up(x))


class Vision(nn.Module):
    """Patches, a class token, shifted windows."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.position = nn.Parameter(torch.randn(1, 17, 8))
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu")
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = self.patch(x)
        b, c, h, w = x.shape
        x = torch.roll(x, (-1, -1), (2, 3)).view(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 3, 5, 1)
        x = x.contiguous().view(b, h * w, c)
        x = torch.cat([self.token.expand(b, -1, -1), x], 1) + self.position
        return self.head(self.layer(x)[:, 0])


class Unet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = ConvBn(3, 6, 3, nn.LeakyReLU(0.1, inplace=True), padding=1)
        self.middle = nn.utils.parametrizations.weight_norm(nn.Conv2d(6, 6, 3, padding=1))
        self.up = nn.Conv2d(12, 4, 3, padding=1)

    def forward(self, x):
        skip = self.down(x)
        y = F.interpolate(self.middle(F.max_pool2d(skip, 2)).relu_(), size=skip.shape[2:], mode="nearest")
        return self.up(torch.cat((skip, y), 1)).sigmoid()


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 6, num_layers=2, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(12, 3)

    def forward(self, x):
        sequence, (hidden, _) = self.lstm(x)
        return self.fc(sequence), hidden


def image(batch=2, channels=3, side=12):
    return torch.randn(batch, channels, side, side)


def images(batches, **form):
    return [((image(batch, **form),), {}) for batch in batches]


def rows(batches, *sizes):
    return [((torch.randn(batch, *sizes),), {}) for batch in batches]


def masks(batch, length):
    mask = torch.ones(batch, length, dtype=torch.bool)
    mask[:, -1] = False
    return mask


def masked(sizes):
    return [((torch.randn(b, n, 16), masks(b, n)), {}) for b, n in sizes]


def tokens(sizes):
    return [((torch.randint(0, 20, (b, n)), masks(b, n)), {}) for b, n in sizes]


def nested(batches):
    def one(b):
        return {"left": torch.randn(b, 6), "rest": [torch.randn(b, 6), torch.randn(b, 2)]}

    return [((one(b),), {"scale": torch.rand(b, 1), "flip": True}) for b in batches]


def cases():
    """(name, network, sets of inputs, dynamic shapes)"""
    deep = {"batch": {"left": BATCH, "rest": [BATCH, BATCH]}, "scale": BATCH, "flip": None}
    pair = {"x": LENGTH, "mask": LENGTH}
    yield "residual", Residual(), images([2, 5, 1]), (BATCH,)
    yield "residual_fixed", Residual(), images([2]), None
    yield "relu6", Mobile(nn.ReLU6), images([2, 3]), (BATCH,)
    yield "silu", Mobile(nn.SiLU), images([2, 3]), (BATCH,)
    yield "hardswish", Mobile(nn.Hardswish), images([2, 3]), (BATCH,)
    yield "elu_in_place", Mobile(lambda: nn.ELU(inplace=True)), images([2, 3]), (BATCH,)
    yield "inception", Inception(), images([2, 3], channels=4, side=8), (BATCH,)
    yield "transposed", nn.ConvTranspose2d(3, 4, 3, 2, 1, output_padding=1), images([2, 3], side=6), (BATCH,)
    yield "dilated", nn.Conv2d(3, 6, 3, padding="same", dilation=2), images([2, 3]), (BATCH,)
    yield "grouped", nn.Conv2d(4, 8, 3, groups=2, padding_mode="reflect", padding=1), images([2, 3], channels=4), (BATCH,)
    yield "conv1d", nn.Sequential(nn.Conv1d(3, 6, 5, 2), nn.BatchNorm1d(6), nn.Tanh()), rows([2, 4], 3, 20), (BATCH,)
    yield "layer_norm", nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU()), rows([2, 3], 4, 6), (BATCH,)
    yield "group_norm", nn.Sequential(nn.Conv2d(3, 6, 3), nn.GroupNorm(2, 6), nn.Mish()), images([2, 3]), (BATCH,)
    yield "rms_norm", RmsNorm(), rows([2, 3], 12), (BATCH,)
    yield "nn_rms_norm", nn.Sequential(nn.Linear(6, 8), nn.RMSNorm(8)), rows([2, 3], 6), (BATCH,)
    yield "gelu_tanh", nn.Sequential(nn.Linear(6, 8), nn.GELU(approximate="tanh")), rows([2, 3], 6), (BATCH,)
    yield "attention", Attention(), [((torch.randn(b, n, 16),), {}) for b, n in ((2, 5), (3, 7))], (LENGTH,)
    yield "attention_mask", Attention(), masked([(2, 5), (4, 9)]), pair
    yield "attention_explicit", Attention(explicit=True), masked([(2, 5), (3, 4)]), pair
    yield "multihead", Fn(
        lambda s, x: s.mha(x, x, x, need_weights=False), mha=nn.MultiheadAttention(8, 2, batch_first=True)
    ), rows([2, 3], 5, 8), (BATCH,)
    yield "encoder_layer", nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True), rows(
        [2, 3], 5, 8
    ), (BATCH,)
    yield "bert", Bert(), tokens([(2, 6), (3, 9), (1, 32)]), (LENGTH, LENGTH)
    yield "bert_batch", Bert(), tokens([(2, 6), (3, 6)]), (BATCH, BATCH)
    yield "einsum", Fn(lambda s, x: torch.einsum("bij,kj->bki", s.fc(x), s.mix.weight), fc=nn.Linear(4, 4), mix=nn.Linear(4, 6)), rows(
        [2, 3], 5, 4
    ), (BATCH,)
    yield "slices", Slices(), rows([2, 3], 8), (BATCH,)
    yield "symbols", Symbols(), [
        ((torch.randn(b, n, 4), torch.randn(b, k, 4)), {}) for b, n, k in ((2, 6, 3), (3, 5, 7), (1, 8, 2))
    ], ({0: Dim.AUTO, 1: Dim.AUTO}, {0: Dim.AUTO, 1: Dim.AUTO})
    yield "nested", Nested(), nested([2, 4]), deep
    yield "constants", Constants(), rows([2, 3], 5), (BATCH,)
    yield "no_grad", NoGrad(), rows([2, 3], 4), (BATCH,)
    yield "lstm", Recurrent(), rows([2, 3], 5, 4), (BATCH,)
    yield "decoder", Decoder(), [((torch.randint(0, 20, (b, n)),), {}) for b, n in ((2, 6), (3, 9))], (LENGTH,)
    yield "vision", Vision(), images([2, 3], side=16), (BATCH,)
    yield "unet", Unet(), images([2, 3], side=8), (BATCH,)
    yield "double", nn.Sequential(nn.Linear(4, 4).double(), nn.Softplus()), [
        ((torch.randn(b, 4, dtype=torch.float64),), {}) for b in (2, 3)
    ], (BATCH,)
    yield "pixel_shuffle", nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1), nn.PixelShuffle(2), nn.Upsample(scale_factor=2, mode="bilinear")
    ), images([2, 3], side=6), (BATCH,)
    yield "decomposed", Residual(), images([2, 3]), (BATCH,)
    yield "decomposed_bert", Bert(), tokens([(2, 6), (3, 6)]), (BATCH, BATCH)


def tensors_of(value):
    """The tensors in a nested value, in order."""
    return [x for x in torch.utils._pytree.tree_leaves(value) if isinstance(x, torch.Tensor)]


def randomize(network):
    """Statistics of norms, and weights that start as constants, become random."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
        if isinstance(getattr(module, "weight", None), torch.Tensor) and module.weight.dim() == 1:
            nn.init.uniform_(module.weight, 0.5, 1.5)
            if getattr(module, "bias", None) is not None:
                nn.init.normal_(module.bias, 0, 0.1)


def reference(network, sets):
    tensors = {}
    for k, (args, kwargs) in enumerate(sets):
        for i, tensor in enumerate(tensors_of((args, kwargs))):
            tensors[f"{k}.input.{i}"] = tensor.clone()
        network.zero_grad()
        outputs = tensors_of(network(*args, **kwargs))
        loss = 0
        for i, output in enumerate(outputs):
            tensors[f"{k}.output.{i}"] = output.clone()
            if output.requires_grad:
                cotangent = torch.randn_like(output)
                tensors[f"{k}.cotangent.{i}"] = cotangent
                loss = loss + (output * cotangent).sum()
        if isinstance(loss, torch.Tensor):
            loss.backward()
        for name, parameter in network.named_parameters():
            if parameter.grad is not None:
                tensors[f"{k}.gradient.{name}"] = parameter.grad.clone()
    return tensors


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x):
        self.count.add_(1)
        return x + self.count


class Branch(nn.Module):
    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda y: y.sin(), lambda y: y.cos(), (x,))


class Autocast(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.fc(x)


def refused():
    yield "training", Residual().train(), (image(),)
    yield "buffer", Counter().eval(), (torch.randn(2, 3),)
    yield "control_flow", Branch().eval(), (torch.randn(2, 3),)
    yield "autocast", Autocast().eval(), (torch.randn(2, 4),)


def main(folder):
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, network, sets, dynamic) in enumerate(cases()):
        torch.manual_seed(seed)
        randomize(network)
        network.eval()
        args, kwargs = sets[0]
        program = export(network, args, kwargs, dynamic_shapes=dynamic)
        if name.startswith("decomposed"):
            program = program.run_decompositions()
        save(program, folder / f"{name}.pt2")
        write_safetensors(folder / f"{name}.safetensors", reference(network, sets))
    for name, network, args in refused():
        save(export(network, args), folder / f"{name}.refused.pt2")
    (folder / "complete").write_text("")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
