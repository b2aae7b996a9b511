"""Tokenizing speed, one thread: this library against Hugging Face's tokenizers, interleaved on the
same files, with their ids compared.

  bench/tokenizer_speed.py BENCH SHARED [rounds]

BENCH is the program tokenizer_bench (CMake option SLLM_BENCH), SHARED the folder with data/. Both
sides are timed in processor time without loading, so that other work on the machine counts less; the
quickest round counts. tokenizers gets the text in parts of 10 kB cut at line ends, because its time
for one long text grows faster than the text; ids are compared on those parts' whole.
"""
import gzip
import itertools
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import time

sys.path.pop(0)  # this folder, whose tokenizers.py is not the library
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"


def fnv(ids):
    value = 0xCBF29CE484222325
    for byte in struct.pack(f"<{len(ids)}i", *ids):
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def texts(data):
    english = (data / "books_en/1342.txt").read_text() + (data / "books_en/2701-0.txt").read_text()
    with gzip.open(data / "nsmc_raw/reviews_first150k.tsv.gz", "rt", encoding="utf8") as lines:
        reviews = "".join(line.split("\t")[-1] for line in itertools.islice(lines, 30000))
    korean = "".join(p.read_text() for p in sorted((data / "konlpy_corpus_ko").glob("[0-9c]*.txt")))
    root = pathlib.Path(__file__).resolve().parents[1] / "src"
    code = "".join(p.read_text() for p in sorted(root.rglob("*.[ch]*")))
    return {"English": english, "Korean": korean + reviews, "code": code}


def parts_of(text, size=10_000):
    parts, begin = [], 0
    while begin < len(text):
        end = min(len(text), begin + size)
        while end < len(text) and not (text[end - 1] == "\n" and not text[end].isspace()):
            end += 1
        parts.append(text[begin:end])
        begin = end
    return parts


def main():
    bench, shared = sys.argv[1], pathlib.Path(sys.argv[2])
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    from tokenizers import Tokenizer, __version__
    different = 0
    print(f"{'':22}{'ours MB/s':>12}{f'tokenizers {__version__}':>20}{'ratio':>8}  ids")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("llama3", "qwen3"):
            file = shared / f"data/tok_{name}_hf/tokenizer.json"
            peer = Tokenizer.from_file(str(file))
            for kind, text in texts(shared / "data").items():
                path = pathlib.Path(folder, "text")
                path.write_bytes(text.encode())
                parts, size = parts_of(text), len(text.encode())
                mine, theirs = [], []
                for _ in range(rounds):
                    done = subprocess.run([bench, str(file), str(path)], capture_output=True,
                                          check=True, text=True)
                    result = json.loads(done.stdout)
                    mine.append(result["seconds"])
                    begin = time.process_time()
                    encoded = [peer.encode(p, add_special_tokens=False) for p in parts]
                    theirs.append(time.process_time() - begin)
                ids = [i for e in encoded for i in e.ids]
                same = len(ids) == result["ids"] and fnv(ids) == result["hash"]
                different += not same
                a, b = size / min(mine) / 1e6, size / min(theirs) / 1e6
                print(f"{name + ' ' + kind:22}{a:12.1f}{b:20.1f}{a / b:8.1f}  "
                      f"{len(ids)} {'equal' if same else 'DIFFERENT'}", flush=True)
    return different


if __name__ == "__main__":
    sys.exit(main())
