"""Quantizes networks end to end and prints one table: 16 bits, all at 8 and the plan found, as measured and as deployed.

    end_to_end.py [--keep 99.9%] [--batch 1,8] [--out FOLDER] MODEL CALIBRATION VALIDATION [MODEL CALIBRATION VALIDATION …]

Arguments are those of `halftone quantize`. Standard library only. FOLDER keeps every run; what was measured earlier is
not used. Exits 1 where a run failed.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

PROGRAM = pathlib.Path(__file__).resolve().parents[2] / "build" / "halftone"
COLUMNS = ["network", "batch", "16 bits, ms", "all-8, ms", "plan, ms", "all-8 of 16", "plan of 16", "at 8 bits",
           "correct: float", "16 bits", "plan", "simulated", "seconds"]


def quantize(model, calibration, validation, keep, batch, out):
    """run.json and the seconds that it took."""
    begin = time.monotonic()
    done = subprocess.run([PROGRAM, "quantize", model, "--calibrate", calibration, "--validate", validation, "--keep", keep,
                           "--batch", str(batch), "--cache", "none", "--compare-samples", "1000000", "--out", out, "--quiet"], stdout=subprocess.DEVNULL, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(1)
    return json.loads((out / "run.json").read_text()), time.monotonic() - begin


def row(model, batch, run, seconds):
    measured = run["measured"]
    baseline = measured["baseline"]["minimum"]

    def correct(score):
        return f"{score['score_count']:,.0f}"

    def of_16(timing):
        return f"{100 * (timing['minimum'] / baseline - 1):+.1f} %"

    at_8 = sum(precision == "8" for precision in run["plan"].values())
    return [model.split(":")[0], str(batch), f"{baseline:.4g}", f"{measured['uniform']['8']['minimum']:.4g}",
            f"{measured['plan']['minimum']:.4g}", of_16(measured["uniform"]["8"]), of_16(measured["plan"]),
            f"{at_8} of {len(run['plan'])}", correct(run["float"]), correct(run["baseline"]), correct(run["result"]),
            correct(run["other_score"]), f"{seconds:.0f}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", default="99.9%")
    parser.add_argument("--batch", default="1,8")
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("networks", nargs="+", metavar="MODEL CALIBRATION VALIDATION")
    arguments = parser.parse_args()
    if len(arguments.networks) % 3:
        parser.error("three words for each network are needed: MODEL CALIBRATION VALIDATION")
    folder = arguments.out or pathlib.Path(tempfile.mkdtemp())
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS), flush=True)
    for i in range(0, len(arguments.networks), 3):
        for batch in map(int, arguments.batch.split(",")):
            model, calibration, validation = arguments.networks[i:i + 3]
            out = folder / f"{model.split(':')[0]}_batch{batch}"
            run, seconds = quantize(model, calibration, validation, arguments.keep, batch, out)
            print("| " + " | ".join(row(model, batch, run, seconds)) + " |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
