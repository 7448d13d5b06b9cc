"""Where the time of exported networks goes in OpenVINO: microseconds a pass by type of node and kernel, of the engine's own counters.

  node_times.py NETWORK.onnx … [--passes N] [--nodes]

NETWORK.onnx comes from `halftone export … --batch N` and has one input. One thread, bf16 for what is no integer, as the engine runs it, but for
networks with integer products without a bias: these it runs with SNIPPETS_MODE=DISABLE as well. The counters count whole microseconds, so times of
single nodes (--nodes) are coarse. Needs the Python package openvino, which `./run build` installs.
"""

import argparse
import collections
import statistics
import time

import numpy as np
import openvino as ov

SETTINGS = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False, "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}


def compiled_request(core, path, counters):
    network = core.compile_model(core.read_model(path), "CPU", SETTINGS | {"PERF_COUNT": counters})
    request = network.create_infer_request()
    shape = network.input(0).shape
    request.set_input_tensor(ov.Tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32)))
    return request


def fastest_pass(request, passes):
    times = []
    for _ in range(passes):
        begin = time.perf_counter()
        request.infer()
        times.append(time.perf_counter() - begin)
    return min(times) * 1e6


def node_times(request, passes):
    samples = collections.defaultdict(list)
    for _ in range(passes):
        request.infer()
        for node in request.profiling_info:
            if node.status == ov.ProfilingInfo.Status.EXECUTED:
                samples[node.node_name, node.node_type, node.exec_type].append(node.real_time.total_seconds() * 1e6)
    return {node: statistics.median(times) for node, times in samples.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", metavar="NETWORK.onnx")
    parser.add_argument("--passes", type=int, default=1000)
    parser.add_argument("--nodes", action="store_true", help="each node as well")
    arguments = parser.parse_args()
    core = ov.Core()
    for path in arguments.networks:
        whole = fastest_pass(compiled_request(core, path, counters=False), arguments.passes)
        request = compiled_request(core, path, counters=True)
        fastest_pass(request, arguments.passes // 4)
        nodes = node_times(request, arguments.passes)
        print(f"{path}: {whole:.0f} us, fastest pass without counters")
        groups = collections.defaultdict(list)
        for (_, kind, kernel), median in nodes.items():
            groups[kind, kernel].append(median)
        for (kind, kernel), times in sorted(groups.items(), key=lambda group: -sum(group[1])):
            print(f"  {sum(times):8.1f} us  {len(times):3} x {kind} ({kernel})")
        if arguments.nodes:
            for (name, kind, kernel), median in nodes.items():
                print(f"  {median:8.1f} us  {name}, {kind} ({kernel})")


if __name__ == "__main__":
    main()
