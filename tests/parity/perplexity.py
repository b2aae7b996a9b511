"""Perplexity in exact mode beside llama.cpp's on the same weights, 20 chunks of 512 tokens of wikitext-2.

llama.cpp multiplies quantised weights in 8 bits, so it gets the weights dequantised to F32 (llama-quantize) and keeps
its cache in F32 without flash attention; we read the quantised file itself. Both sides then round in float32 alone, which
moved perplexity by at most 0.0001 % on the first chunks; the tolerance of 0.02 % is the project's bar.
PERPLEXITY_CHUNKS sets the number of chunks.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

SLLM = os.environ.get("SLLM_BIN", "")
MODEL = Path(os.environ.get("SLLM_MODELS", "")) / "smollm2-135m-instruct.Q4_1.gguf"
TEXT = Path(os.environ.get("SLLM_SHARED", "")) / "data/wikitext2/wiki.test.raw"
LLAMA = Path(os.environ.get("LLAMA_BIN") or "/nonexistent")
CHUNKS, WINDOW, TOLERANCE = int(os.environ.get("PERPLEXITY_CHUNKS", "20")), 512, 2e-4


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"FAIL {' '.join(map(str, command[:3]))}: {(done.stderr or done.stdout)[-600:]}")
    return done.stdout, done.stderr


def theirs(folder):
    full = Path(folder) / "f32.gguf"
    run(LLAMA / "llama-quantize", "--allow-requantize", MODEL, full, "F32", 2)
    out = "".join(run(LLAMA / "llama-perplexity", "-m", full, "-f", TEXT, "-c", WINDOW, "--chunks", CHUNKS, "-t", 2,
                      "-ctk", "f32", "-ctv", "f32", "-fa", "off"))
    chunks = len(re.findall(r"\[\d+\][\d.]+", out))
    return float(re.search(r"Final estimate: PPL = ([\d.]+)", out)[1]), chunks


def main():
    for path, what in ((SLLM and Path(SLLM), "SLLM_BIN"), (MODEL, "the model in SLLM_MODELS"),
                       (TEXT, "wikitext-2 in SLLM_SHARED"), (LLAMA / "llama-perplexity", "llama.cpp in LLAMA_BIN")):
        if not path or not path.exists():
            print(f"SKIP perplexity: {what} is not there")
            return 0
    result = json.loads(run(SLLM, "eval", "-m", MODEL, "--mode", "exact", "--perplexity", TEXT, "--window", WINDOW,
                            "--chunks", CHUNKS, "--json", "-q")[0])
    with tempfile.TemporaryDirectory(prefix="sllm-perplexity-") as folder:
        peer, chunks = theirs(folder)
    ours = result["perplexity"]
    difference = ours / peer - 1
    good = chunks == result["perplexity_chunks"] == CHUNKS and abs(difference) <= TOLERANCE  # NaN is not
    print(f"{'PASS' if good else 'FAIL'} perplexity of {MODEL.name}: {ours:.4f}, llama.cpp {peer} on its F32 "
          f"({100 * difference:+.4f} %, at most {100 * TOLERANCE} %; {result['perplexity_chunks']} and {chunks} chunks of {WINDOW})")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
