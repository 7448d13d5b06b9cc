"""Exports networks that the C++ tests have as torch::nn modules, in every form that Halftone reads.

usage: export_front_ends.py FOLDER

For each network FOLDER/<name>.pt2, FOLDER/<name>.traced.pt, FOLDER/<name>.scripted.pt where it can be scripted, and
FOLDER/<name>.safetensors with its state dict and "input.<i>", "output" of one batch.
"""

import sys
from pathlib import Path

import torch
from torch import nn
from torch.export import export, save
from torch.nn import functional as F

from export_battery import BATCH, LENGTH, randomize, write_safetensors


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shrinks = stride == 2
        self.more = (outputs - inputs) // 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.shrinks:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more, self.more))
        return F.relu(y + x)


class CifarResNet(nn.Module):
    """Depth 8."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Block(16, 16, 1))
        self.layer2 = nn.Sequential(Block(16, 32, 2))
        self.layer3 = nn.Sequential(Block(32, 64, 2))
        self.linear = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean((2, 3)))


class Mobile(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.stem_bn = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False)
        self.depthwise_bn = nn.BatchNorm2d(8)
        self.squeeze = nn.Conv2d(8, 4, 1)
        self.excite = nn.Conv2d(4, 8, 1)
        self.project = nn.Conv2d(8, 8, 1)
        self.fc = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu6(self.stem_bn(self.stem(x)))
        y = F.hardswish(self.depthwise_bn(self.depthwise(x)))
        gate = F.hardsigmoid(self.excite(F.relu(self.squeeze(y.mean((2, 3), keepdim=True)))))
        x = x + self.project(y * gate)
        return self.fc(F.silu(x).mean((2, 3)))


class Encoder(nn.Module):
    """Token ids and their mask, at any length; attention is fused."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(20, 16)
        self.positions = nn.Embedding(32, 16)
        self.query = nn.Linear(16, 16)
        self.key = nn.Linear(16, 16)
        self.value = nn.Linear(16, 16)
        self.proj = nn.Linear(16, 16)
        self.norm = nn.LayerNorm(16)
        self.fc1 = nn.Linear(16, 32)
        self.fc2 = nn.Linear(32, 16)

    def heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(x.size(0), x.size(1), 4, 4).transpose(1, 2)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        x = self.words(input_ids) + self.positions(torch.arange(input_ids.size(1)))
        mask = attention_mask.to(torch.bool).unsqueeze(1).unsqueeze(2)
        q, k, v = self.heads(self.query(x)), self.heads(self.key(x)), self.heads(self.value(x))
        y = F.scaled_dot_product_attention(q, k, v, mask)
        x = self.norm(x + self.proj(y.transpose(1, 2).flatten(2)))
        x = x + self.fc2(F.gelu(self.fc1(x)))
        weight = attention_mask.to(torch.float32).unsqueeze(2)
        return (x * weight).sum(1) / weight.sum(1)


class Multihead(nn.Module):
    """nn.MultiheadAttention, which keeps its three weights in one."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        self.fc = nn.Linear(16, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x + self.attention(x, x, x, need_weights=False)[0])


def cases():
    """(name, network, inputs, dynamic shapes, whether it can be scripted)"""
    yield "cifar_resnet8", CifarResNet(), (torch.randn(4, 3, 16, 16),), (BATCH,), True
    yield "mobile", Mobile(), (torch.randn(4, 3, 12, 12),), (BATCH,), True
    ids = torch.randint(0, 20, (4, 7))
    mask = (torch.arange(7) < torch.tensor([[7], [3], [5], [1]])).long()
    yield "encoder", Encoder(), (ids, mask), (LENGTH, LENGTH), True
    yield "multihead", Multihead(), (torch.randn(4, 6, 16),), (BATCH,), False


def main(folder):
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, network, inputs, dynamic, scripts) in enumerate(cases()):
        torch.manual_seed(seed)
        randomize(network)
        network.eval()
        save(export(network, inputs, dynamic_shapes=dynamic), folder / f"{name}.pt2")
        torch.jit.trace(network, inputs, check_trace=False).save(folder / f"{name}.traced.pt")
        if scripts:
            torch.jit.script(network).save(folder / f"{name}.scripted.pt")
        tensors = dict(network.state_dict())
        for i, tensor in enumerate(inputs):
            tensors[f"input.{i}"] = tensor
        tensors["output"] = network(*inputs)
        write_safetensors(folder / f"{name}.safetensors", tensors)
    (folder / "complete").write_text("")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
