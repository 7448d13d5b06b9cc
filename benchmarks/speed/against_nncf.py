"""Latency of networks that Halftone exported against the same networks quantized by NNCF, both in OpenVINO, in turn.

  against_nncf.py NAME=FLOAT.onnx,INT8.onnx … [--seconds S]

FLOAT.onnx and INT8.onnx come from `halftone export … --uniform float|8 --batch N`. NNCF quantizes FLOAT.onnx with its
defaults on random inputs (time does not depend on them). All run with the same settings: one thread, bf16 for what is
no integer. `./run bench-peers` makes an environment with NNCF and runs this.
"""

import argparse
import os
import time

import numpy as np
import nncf
import openvino as ov

SETTINGS = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False, "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}


def random_inputs(model, seed):
    generator = np.random.default_rng(seed)
    inputs = []
    for value in model.inputs:
        shape = [dim.get_length() for dim in value.partial_shape]
        if value.element_type.is_integral():
            inputs.append(np.zeros(shape, value.element_type.to_dtype()))
        else:
            inputs.append(generator.standard_normal(shape).astype(np.float32))
    return inputs


def quantize_by_nncf(model):
    samples = [dict(enumerate(random_inputs(model, seed))) for seed in range(30)]
    return nncf.quantize(model, nncf.Dataset(samples))


class Candidate:
    def __init__(self, core, name, model):
        self.name = name
        self.request = core.compile_model(model, "CPU", SETTINGS).create_infer_request()
        for index, value in enumerate(random_inputs(model, 0)):
            self.request.set_input_tensor(index, ov.Tensor(value))
        self.turns = []
        self.minimum = float("inf")
        for _ in range(5):
            self.request.infer()

    def turn(self, seconds=0.005):
        passes = []
        start = time.perf_counter()
        while not passes or time.perf_counter() - start < seconds:
            begin = time.perf_counter()
            self.request.infer()
            passes.append(time.perf_counter() - begin)
        self.minimum = min(self.minimum, min(passes))
        self.turns.append(float(np.median(passes)))


def compare(core, name, float_path, int8_path, seconds):
    model = core.read_model(float_path)
    candidates = [Candidate(core, "bf16", model), Candidate(core, "8 bits by NNCF", quantize_by_nncf(model.clone())),
                  Candidate(core, "8 bits by Halftone", core.read_model(int8_path))]
    end = time.perf_counter() + seconds
    turn = 0
    while time.perf_counter() < end:
        for i in range(len(candidates)):
            candidates[(turn + i) % len(candidates)].turn()
        turn += 1
    nncf_turns = np.array(candidates[1].turns)
    print(f"{name} ({turn} turns each, load {os.getloadavg()[0]:.1f})")
    print(f"  {'':20} {'minimum':>11} {'median':>11}   of NNCF's time: minimum, median of turns")
    for candidate in candidates:
        turns = np.array(candidate.turns)
        print(f"  {candidate.name:20} {1e3 * candidate.minimum:8.4f} ms {1e3 * np.median(turns):8.4f} ms   "
              f"x {candidate.minimum / candidates[1].minimum:.3f}, x {np.median(turns / nncf_turns):.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="+", metavar="NAME=FLOAT.onnx,INT8.onnx")
    parser.add_argument("--seconds", type=float, default=10)
    arguments = parser.parse_args()
    core = ov.Core()
    for network in arguments.networks:
        name, paths = network.split("=", 1)
        float_path, int8_path = paths.split(",")
        compare(core, name, float_path, int8_path, arguments.seconds)


if __name__ == "__main__":
    main()
