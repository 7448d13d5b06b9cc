"""Checks exported files: the standard's own checker, what the graph holds, and ONNX Runtime's values against LibTorch's.

usage: check_onnx.py FOLDER   # as written by onnx_case.hpp
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, numpy_helper

# The rule for values. Float networks agree to FLOAT, relative to the largest magnitude of an output, infinities in
# place. Networks with integers do so too but for values behind an activation that lay on the boundary of two steps,
# which another order of summation rounds the other way: these may be off by STEPS of the coarsest width's steps over the
# output's range, may be at most SHARE_OF_CASE of the values of one case, and at most SHARE_OF_ALL of those of all cases.
FLOAT = 1e-4
STEPS = 4
SHARE_OF_CASE = 0.5
SHARE_OF_ALL = 0.01

INTEGERS = {TensorProto.INT8: 8, TensorProto.INT4: 4}


class Failure(Exception):
    pass


def require(condition, text):
    if not condition:
        raise Failure(text)


class Graph:
    def __init__(self, model):
        self.nodes = list(model.graph.node)
        self.by_name = {node.name: node for node in self.nodes}
        self.producer = {output: node for node in self.nodes for output in node.output}
        self.initializers = {tensor.name: tensor for tensor in model.graph.initializer}

    def of_site(self, name):
        node = self.by_name.get(name)
        require(node is not None, f'no node is called "{name}"')
        return self.by_name[name + "/MatMul"] if node.op_type == "Add" else node


def check_weight(graph, name, bits, native):
    """The weight's width is that of the plan: integers that use no more levels, or float."""
    if bits == 16:
        require(graph.initializers[name].data_type == TensorProto.FLOAT, "a weight of 16 bits is not stored in float")
        return
    node = graph.producer.get(name)
    require(node is not None and node.op_type == "DequantizeLinear", "a weight below 16 bits is not dequantized")
    stored = graph.initializers[node.input[0]]
    wanted = TensorProto.INT4 if native and bits == 4 else TensorProto.INT8
    require(stored.data_type == wanted, f"weights of {bits} bits are stored as type {stored.data_type}")
    largest = np.abs(numpy_helper.to_array(stored).astype(np.int32)).max()
    require(0 < largest <= 2 ** (bits - 1) - 1, f"weights of {bits} bits reach {largest}")
    scales = numpy_helper.to_array(graph.initializers[node.input[1]])
    axis = next(a.i for a in node.attribute if a.name == "axis")
    require(scales.shape == (stored.dims[axis],), f"{scales.shape} scales for {stored.dims} along {axis}")


def check_activation(graph, name, bits, native):
    """The activation passes through as many bits as the plan says, or through none."""
    node = graph.producer.get(name)
    if bits == 16:
        require(node is None or node.op_type != "DequantizeLinear", "an activation of 16 bits is quantized")
        return
    require(node is not None and node.op_type == "DequantizeLinear", "an activation below 16 bits is not dequantized")
    quantize = graph.producer[node.input[0]]
    require(quantize.op_type == "QuantizeLinear", "what is dequantized was not quantized")
    require(list(quantize.input[1:]) == list(node.input[1:]), "it goes back with another scale or zero point")
    zero_point = graph.initializers[quantize.input[2]]
    is_native = native and bits == 4
    wanted = TensorProto.UINT4 if is_native else TensorProto.UINT8
    require(zero_point.data_type == wanted, f"activations of {bits} bits are of type {zero_point.data_type}")
    clip = graph.producer.get(quantize.input[0])
    if bits < 8 and not is_native:
        require(clip is not None and clip.op_type == "Clip", f"nothing keeps activations to {bits} bits")
        scale = numpy_helper.to_array(graph.initializers[quantize.input[1]])
        low, high = (numpy_helper.to_array(graph.initializers[limit]) for limit in clip.input[1:])
        require(round(float((high - low) / scale)) == 2**bits - 1, "the limits do not hold 2^bits levels")


def check_graph(model, case):
    native = case["native"] and any(4 in (s["weight_bits"], s["activation_bits"]) for s in case["sites"])
    require(model.opset_import[0].version == (21 if native else 18), f"opset is {model.opset_import[0].version}")
    graph = Graph(model)
    quantized_weights = set()
    for site in case["sites"]:
        if site["weight_bits"] is None:  # an operand of an addition
            continue
        node = graph.of_site(site["name"])
        check_activation(graph, node.input[0], site["activation_bits"], native)
        check_weight(graph, node.input[1], site["weight_bits"], native)
        if site["weight_bits"] < 16:
            quantized_weights.add(node.input[1])
    kinds = [node.op_type for node in graph.nodes]
    activations = sum(s["activation_bits"] < 16 for s in case["sites"])
    quantizers = kinds.count("QuantizeLinear")
    require(quantizers <= activations and (quantizers > 0) == (activations > 0), f"{quantizers} QuantizeLinear")
    require(kinds.count("DequantizeLinear") == quantizers + len(quantized_weights), "DequantizeLinear of something that is no site's")
    sizes = {d.dim_param or d.dim_value for value in model.graph.input for d in value.type.tensor_type.shape.dim[:1]}
    require(sizes == {case["batch"] or "batch"}, f"inputs start with {sizes}")
    notes = {entry.key: entry.value for entry in model.metadata_props}
    require(len(notes["halftone.precisions"].split()) == len(case["sites"]), "the metadata does not name every site")


def tensors(case, folder):
    data = (folder / (case["name"] + ".bin")).read_bytes()
    position = 0
    for part in ("inputs", "outputs"):
        list_of_part = []
        for entry in case[part]:
            dtype = np.dtype(entry["dtype"])
            count = int(np.prod(entry["shape"]))
            list_of_part.append(np.frombuffer(data, dtype, count, position).reshape(entry["shape"]))
            position += count * dtype.itemsize
        yield list_of_part
    require(position == len(data), "elements are left over")


def run(path, inputs, optimized):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    # By default it quantizes the activations of products whose weights alone are quantized.
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # One optimization takes no limits before 4-bit types, and the session fails.
    session = onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=["ClipQuantRewrite"]
    )
    names = [value.name for value in session.get_inputs()]
    return session.run(None, dict(zip(names, inputs, strict=True)))


def compare(case, actual, wanted):
    """Gives the number of values that differ at all, and of all values."""
    require(len(actual) == len(wanted), f"{len(actual)} outputs, not {len(wanted)}")
    bits = min(min(s["weight_bits"] or 16, s["activation_bits"]) for s in case["sites"])
    differing = total = 0
    for i, (a, w) in enumerate(zip(actual, wanted)):
        where = f"output {i}"
        require(a.dtype == w.dtype and a.shape == w.shape, f"{where} is {a.dtype} {a.shape}, not {w.dtype} {w.shape}")
        a, w = a.astype(np.float64), w.astype(np.float64)
        require(np.array_equal(np.isfinite(a), np.isfinite(w)), f"{where} is finite elsewhere")
        finite = np.isfinite(w)
        require(np.array_equal(a[~finite], w[~finite], equal_nan=True), f"{where} has other infinities")
        a, w = a[finite], w[finite]
        difference = np.abs(a - w)
        magnitude = np.abs(w).max(initial=0)
        off = difference > FLOAT * max(magnitude, 1e-3)
        differing += int(off.sum())
        total += w.size
        if not off.any():
            continue
        worst = difference.max()
        require(bits < 16, f"{where} is off by {worst:.3g} of {magnitude:.3g}")
        # Numbers that are steps themselves (whole, true or false) change by a step of their own.
        limit = max(STEPS * (w.max() - w.min()) / (2**min(bits, 8) - 1), 1.0 if case["outputs"][i]["dtype"] in (
            "bool", "int64", "int32") else 0.0)
        require(worst <= limit, f"{where} is off by {worst:.3g}: more than {STEPS} steps, {limit:.3g}")
    require(differing <= SHARE_OF_CASE * total, f"{differing} of {total} values differ")
    return differing, total


def main(folder):
    cases = json.loads((folder / "manifest.json").read_text())
    failures = []
    differing = total = 0
    for case in cases:
        path = folder / (case["name"] + ".onnx")
        try:
            model = onnx.load(path)
            onnx.checker.check_model(model, full_check=True)
            check_graph(model, case)
            inputs, wanted = tensors(case, folder)
            for optimized in (False, True):
                off, values = compare(case, run(path, inputs, optimized), wanted)
                differing += off
                total += values
        except Exception as error:  # noqa: BLE001 every case is to be looked at
            failures.append(f"{case['name']}: {error}")
    if differing > SHARE_OF_ALL * total:
        failures.append(f"{differing} of all {total} values differ")
    print(f"{len(cases)} files, {differing} of {total} values on another step, {len(failures)} failures")
    for failure in failures:
        print(failure)
    return 1 if failures or not cases else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
