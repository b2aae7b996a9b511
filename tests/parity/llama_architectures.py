"""Every architecture that llama.cpp knows: our F32 GGUF of the tiny model loads there and gives transformers' logits.

Bound 1e-4 (the files and caches are f32; the peers differ in the order of sums). What llama.cpp does otherwise is in RULES
with its reason; there, fewer positions or a wider bound are compared, or none.
"""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.pop(0)  # the files beside this one are not the libraries of the same name
ROOT = Path(__file__).parents[2]
SLLM = Path(os.environ.get("SLLM_BIN", ROOT / "build/release/sllm"))
LOGITS = Path(os.environ.get("LLAMA_BIN") or "nowhere", "llama_logits")
ALL = 1 << 30

GELU = (ALL, 1e-2, "llama.cpp reads GELU from a table of halves, each off by up to 2^-11 of itself")
RULES = {  # name: positions, bound, reason
    "mistral": (9, 1e-4, "under the architecture llama, llama.cpp has no sliding window"),
    "qwen2": (7, 1e-4, "llama.cpp's qwen2 has no sliding window"),
    "exaone4": (0, 0, "llama.cpp gives a window, and layers without rotation, to the model of 64 layers alone"),
    "gemma2": (0, 0, "llama.cpp scales by the head's width, not by query_pre_attn_scalar"),
    "lfm2_bias": (0, 0, "llama.cpp has no biases in LFM2's convolutions"),
    "qwen3_5_bias": (0, 0, "llama.cpp has no biases in Qwen 3.5, nor value heads of another width than the key heads'"),
    "phi3": (0, 0, "llama.cpp chooses long factors by the context's size, which is at least 256, not by the text's length"),
    "bert": (0, 0, "an encoder: see embeddings"),
    "xlm_roberta": (0, 0, "an encoder: see embeddings"),
    "gemma3_embedding": (0, 0, "an encoder: see embeddings"),
    "hyperclovax": (0, 0, "llama.cpp has no hyperclovax"),
    "hyperclovax_plain": (0, 0, "llama.cpp has no hyperclovax"),
    "gemma3": GELU, "gemma4": GELU, "gemma4_plain": GELU, "gpt_neox": GELU, "gpt_neox_serial": GELU,
}


def run(*command):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True)


def compare(golden, work):
    import numpy
    from safetensors.numpy import load_file
    name = golden.name
    rows, bound, reason = RULES.get(name, (ALL, 1e-4, ""))
    if rows == 0:
        return print(f"SKIP {name}: {reason}", flush=True)
    # llama.cpp looks for tokens of Phi-3's in files whose name says so.
    shutil.copytree(golden, work / "tiny")
    file = work / "tiny.gguf"
    done = run(SLLM, "import", work / "tiny", file, "--type", "f32", "-q")
    if done.returncode:
        return print(f"FAIL {name}: import: {done.stderr.strip()[-300:]}", flush=True)
    expected = load_file(golden / "golden.safetensors")
    done = run(LOGITS, file, ",".join(map(str, expected["ids"].tolist())))
    if done.returncode:
        return print(f"FAIL {name}: {done.stderr.strip()[-300:]}", flush=True)
    theirs = numpy.array([[float(x) for x in line.split()] for line in done.stdout.splitlines()])
    ours = expected["logits"]
    if theirs.shape != ours.shape or not numpy.isfinite(theirs).all():
        return print(f"FAIL {name}: logits of {theirs.shape}, expected {ours.shape}", flush=True)
    far, at = numpy.abs(theirs - ours)[:rows].max(), min(rows, len(ours))
    print(f"{'PASS' if far <= bound else 'FAIL'} {name}: llama.cpp's logits of {at} positions within {far:.1e} (bound {bound:.0e}"
          + (f": {reason}" if reason else "") + ")", flush=True)


def main():
    if not LOGITS.exists():
        return print("SKIP llama_architectures: llama_logits is not at hand")
    for golden in sorted((ROOT / "tests/golden/architectures").iterdir()):
        if not (golden / "golden.safetensors").exists():
            continue
        with tempfile.TemporaryDirectory() as work:
            compare(golden, Path(work))


main()
