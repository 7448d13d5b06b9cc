"""Writes what torch_file_test.cpp reads: state dicts by torch.save in both forms, each with its tensors as safetensors.

usage: save_state_dicts.py FOLDER ASSETS   # the folder that holds cifar_resnet20.safetensors
"""

import argparse
import collections
import io
import json
import pathlib
import pickle
import struct
import sys
import tarfile
import warnings
import zipfile

import numpy as np
import torch

FOLDER = pathlib.Path(sys.argv[1])
ASSETS = pathlib.Path(sys.argv[2])
NAMES = {
    torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8", torch.int16: "I16", torch.int32: "I32",
    torch.int64: "I64", torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32", torch.float64: "F64",
}


def write_golden(name, tensors):
    header, data = {}, b""
    for key, tensor in tensors.items():
        tensor = tensor.detach().contiguous()
        content = bytes(tensor.view(-1).view(torch.uint8).numpy()) if tensor.numel() else b""
        place = [len(data), len(data) + len(content)]
        header[key] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": place}
        data += content
    text = json.dumps(header).encode()
    (FOLDER / f"{name}.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


def read_safetensors(path):
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    types = {name: dtype for dtype, name in NAMES.items()}
    tensors = {}
    for key, entry in header.items():
        if key != "__metadata__":
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            dtype = types[entry["dtype"]]
            tensors[key] = torch.frombuffer(bytearray(content[begin:end]), dtype=dtype).view(entry["shape"])
    return tensors


def save(name, saved, tensors=None, protocols=(2,)):
    """`tensors` is what is to be read of `saved`; None where it is to be refused."""
    for protocol in protocols:
        suffix = "" if protocol == 2 else f"_{protocol}"
        torch.save(saved, FOLDER / f"{name}{suffix}.pth", pickle_protocol=protocol)
        torch.save(saved, FOLDER / f"{name}{suffix}.old.pth", pickle_protocol=protocol,
                   _use_new_zipfile_serialization=False)
        if tensors is not None:
            write_golden(name + suffix, tensors)


def edit_zip(source, target, method=zipfile.ZIP_STORED, **changed):
    """A copy of an archive with other content for some entries; `changed` has them by the end of their names."""
    with zipfile.ZipFile(FOLDER / source) as old, zipfile.ZipFile(FOLDER / target, "w", method) as new:
        for entry in old.namelist():
            content = changed.get(entry.rsplit("/", 1)[1].replace(".", "_"), old.read(entry))
            new.writestr(entry, content)


class Runs:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def readable():
    torch.manual_seed(1)
    types = collections.OrderedDict()
    for dtype in NAMES:
        types[str(dtype)[6:]] = (torch.randn(3, 5) * 50).abs().to(dtype)
    types["scalar"] = torch.tensor(2.5)
    types["empty"] = torch.zeros(4, 0, 2)
    types["parameter"] = torch.nn.Parameter(torch.randn(7))
    types["fixed"] = torch.nn.Parameter(torch.arange(3), requires_grad=False)
    types["läßt"] = torch.ones(1)
    save("types", types, types, protocols=(2, 3, 4, 5))

    whole = torch.randn(6, 4, 3)
    views = {
        "whole": whole, "tied": whole, "transposed": whole.permute(2, 0, 1), "slice": whole[2:4, 1:, ::2],
        "last": whole[5, 3, 2], "repeated": torch.randn(3, 1).expand(3, 5), "part": whole.view(-1)[10:20],
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last), "none": whole[:, :0],
    }
    save("views", views, views)

    norm = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    state = norm.state_dict()
    save("module", state, state)
    save("parallel", torch.nn.DataParallel(norm).state_dict(), state)
    save("compiled", {f"_orig_mod.module.{k}": v for k, v in state.items()}, state)
    mixed = {"module.a": torch.ones(1), "b": torch.ones(1)}
    save("mixed", mixed, mixed)

    optimizer = torch.optim.Adam(norm.parameters())
    norm(torch.randn(2, 3, 5, 5)).sum().backward()
    optimizer.step()
    checkpoint = {
        "epoch": 3, "best": np.float64(0.5), "history": np.arange(4), "args": argparse.Namespace(lr=0.1, name="x"),
        "state_dict": state, "optimizer": optimizer.state_dict(), "rng": torch.get_rng_state(), "size": torch.Size([2]),
        "device": torch.device("cpu"), "type": torch.float16, "sets": [{1, 2}, frozenset([3]), b"\xff", 1j],
    }
    save("checkpoint", checkpoint, state, protocols=(2, 4))
    save("deep", {"a": {"b": {"model": state, "n": 1}}, "c": []}, state)
    save("extras", {**state, "_extra_state": None, "config": {"x": 1}}, state)
    twice = {"model": state, "ema": {"model": {k: v + 1 if v.is_floating_point() else v for k, v in state.items()}}}
    save("twice", twice, twice["ema"]["model"])
    loop = {"model": state}
    loop["self"] = loop
    save("loop", loop, state)

    named = torch.nn.Parameter(torch.randn(3))
    named.note = "kept by _rebuild_parameter_with_state"
    plain = torch.randn(3)
    plain.note = "kept by _rebuild_from_type_v2"
    attributes = {"parameter": named, "plain": plain}
    save("attributes", attributes, attributes)


def refused():
    save("uint16", {"w": torch.zeros(2, dtype=torch.uint16)})
    save("complex", {"w": torch.zeros(2, dtype=torch.complex64)})
    save("negative", {"w": torch.ones(2, dtype=torch.complex64).conj().imag})
    save("sparse", {"w": torch.eye(2).to_sparse()})
    save("repeats", {"w": torch.zeros(1).expand(1 << 40)})
    save("tensor", torch.ones(2))
    save("numbers", {"epoch": 1, "lr": 0.1})
    save("whole_module", torch.nn.Linear(2, 2))
    marker = str(FOLDER / "was_run")
    save("system", {"w": torch.ones(2), "x": Runs(__import__("os").system, f"touch {marker}")})
    save("eval", {"w": torch.ones(2), "x": Runs(eval, f"open({marker!r}, 'w')")})
    with open(FOLDER / "plain.pkl", "wb") as file:
        pickle.dump({"w": torch.ones(2)}, file)
    with open(FOLDER / "numbers.pkl", "wb") as file:
        pickle.dump({"epoch": 1}, file)
    torch.jit.script(torch.nn.Linear(2, 2)).save(FOLDER / "script.pt")
    with zipfile.ZipFile(FOLDER / "exported.pt2", "w") as file:
        file.writestr("exported/archive_format", "pt2")
        file.writestr("exported/models/model.json", "{}")
    edit_zip("types.pth", "big_endian.pth", byteorder=b"big")
    edit_zip("types.pth", "compressed.pth", method=zipfile.ZIP_DEFLATED)
    edit_zip("types.pth", "no_pickle.pth", data_pkl=b"")
    with tarfile.open(FOLDER / "tar.pth", "w", format=tarfile.USTAR_FORMAT) as file:
        file.addfile(tarfile.TarInfo("storages"), io.BytesIO(b""))


def weights():
    state = read_safetensors(ASSETS / "cifar_resnet20.safetensors")
    save("resnet20", {"state_dict": {f"module.{k}": v for k, v in state.items()}, "best_prec1": 91.78})
    renamed = {f"backbone.{k}".replace("layer", "stage"): v for k, v in state.items()}
    save("renamed", {"model": renamed, "ema": {k: v * 0 for k, v in renamed.items()}})


def main():
    warnings.simplefilter("ignore")
    FOLDER.mkdir(parents=True, exist_ok=True)
    readable()
    refused()
    weights()


main()
