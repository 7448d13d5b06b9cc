"""Writes safetensors files: 8 little-endian bytes of header length, a JSON header, then the tensors' bytes."""
import json
import os
import struct


def write_safetensors(path, tensors, metadata):
    """`tensors` maps names to (dtype such as "F32", shape, little-endian bytes); `metadata` maps text to text."""
    header = {"__metadata__": metadata}
    position = 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [position, position + len(data)]}
        position += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    unfinished = f"{path}.part"
    with open(unfinished, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, data in tensors.values():
            file.write(data)
    os.replace(unfinished, path)
