"""Converts the keyword-spotting samples of MLPerf Tiny to a file that `kws_dscnn` takes as DATA:

    python tools/kws_mfcc_to_safetensors.py mfcc_int8.bin labels.tsv kws_mfcc.safetensors

mfcc_int8.bin holds 490 signed bytes a sample, 49 frames x 10 coefficients; labels.tsv the columns `index` (0, 1, 2 …)
and `label` (0 to 11). The result holds `input`, float32 [samples, 1, 49, 10], (q - 83) * 0.5847029, and `target`, int64
[samples]. Needs the standard library alone."""
import array
import csv
import sys

from safetensors_file import write_safetensors

SCALE = 0.5847029
ZERO_POINT = 83
SAMPLE = 49 * 10
CLASSES = 12


def read_labels(path):
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    labels = []
    for number, row in enumerate(rows):
        if int(row["index"]) != number or not 0 <= int(row["label"]) < CLASSES:
            sys.exit(f"{path}, line {number + 2}: index {row['index']} and label {row['label']}; "
                     f"index {number} and a label from 0 to {CLASSES - 1} are needed")
        labels.append(int(row["label"]))
    return labels


def little_endian(values):
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def main(source, label_source, target):
    labels = read_labels(label_source)
    with open(source, "rb") as file:
        quantized = array.array("b", file.read())
    if len(quantized) != len(labels) * SAMPLE:
        sys.exit(f"{source} holds {len(quantized)} bytes, {label_source} {len(labels)} samples: "
                 f"{SAMPLE} bytes a sample are needed")
    values = array.array("f", ((q - ZERO_POINT) * SCALE for q in quantized))
    write_safetensors(target, {
        "input": ("F32", [len(labels), 1, 49, 10], little_endian(values)),
        "target": ("I64", [len(labels)], little_endian(array.array("q", labels))),
    }, {"source": "MLPerf Tiny keyword spotting (Google Speech Commands v2, CC BY 4.0)"})
    print(f"{target}: {len(labels)} samples")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
