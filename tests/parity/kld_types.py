"""Every GGUF type computed as llama.cpp would without rounding, and in fast mode no worse than llama.cpp itself.

llama-quantize makes a file of each type (--pure: every matrix, the output matrix too) and dequantises it to F32; what
llama-perplexity predicts from that with an F32 cache and no flash attention is the base, recorded once. Against it:
  exact   our exact mode on the quantised file: at most 2e-5, the bar of the project's plan. Both round in float32 alone,
          which leaves about 1e-9; a type decoded a bit wrong is far above.
  fast    our fast mode on the quantised file: at most 1.1 times
  theirs  llama.cpp's own divergence on the quantised file with its defaults, as it prints it (six digits after the point).
KLD_CHUNKS sets the number of 512-token chunks of wikitext-2 (1 by default), KLD_TYPES the types, KLD_MODEL a file of
SLLM_MODELS. A model of 1.5B needs 12 GB of disk at a time and about four minutes a type on two cores.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

SLLM = os.environ.get("SLLM_BIN", "")
LLAMA = Path(os.environ.get("LLAMA_BIN") or "/nonexistent")
MODEL = Path(os.environ.get("SLLM_MODELS", "")) / os.environ.get("KLD_MODEL", "qwen2.5-coder-1.5b-instruct.Q4_K_M.gguf")
TEXT = Path(os.environ.get("SLLM_SHARED", "")) / "data/wikitext2/wiki.test.raw"
TYPES = os.environ.get("KLD_TYPES", "F32 F16 BF16 Q8_0 Q6_K Q5_K Q5_1 Q5_0 Q4_K Q4_1 Q4_0 IQ4_NL IQ4_XS MXFP4 Q3_K Q2_K").split()
CHUNKS, WINDOW, THREADS = int(os.environ.get("KLD_CHUNKS", "1")), 512, os.environ.get("KLD_THREADS", "2")
EXACT, RATIO = 2e-5, 1.1
DIGIT = 1e-6  # the last place of what llama-perplexity prints: below it nothing can be told
LLAMA_NAMES = {"Q5_K": "Q5_K_M", "Q4_K": "Q4_K_M", "Q3_K": "Q3_K_M", "MXFP4": "MXFP4_MOE"}  # file types; --pure undoes the mix


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise SystemExit(f"FAIL {' '.join(map(str, command[:4]))}: {(done.stderr or done.stdout)[-600:]}")
    return done.stdout + done.stderr


def types_of(path):
    import gguf
    return {t.tensor_type.name for t in gguf.GGUFReader(path).tensors if len(t.shape) > 1}


def requantise(source, target, kind):
    run(LLAMA / "llama-quantize", "--allow-requantize", "--pure", source, target, LLAMA_NAMES.get(kind, kind), THREADS)


def predict(model, base, *more):
    return run(LLAMA / "llama-perplexity", "-m", model, "-f", TEXT, "-c", WINDOW, "-b", WINDOW, "--chunks", CHUNKS,
               "-t", THREADS, "--kl-divergence-base", base, *more)


def ours(model, base, mode):
    words = [SLLM, "eval", "-m", model, "--mode", mode, "--kld", base, "--threads", THREADS, "--json", "-q"]
    return json.loads(subprocess.run([str(w) for w in words], check=True, capture_output=True, text=True).stdout)


def compare(kind, folder):
    quantised, full, base = folder / "q.gguf", folder / "f32.gguf", folder / "base.kld"
    requantise(MODEL, quantised, kind)
    if types_of(quantised) != {kind}:
        print(f"FAIL {kind}: llama-quantize wrote {sorted(types_of(quantised))}")
        return False
    if kind == "F32":
        full = quantised
    else:
        requantise(quantised, full, "F32")
    predict(full, base, "-ctk", "f32", "-ctv", "f32", "-fa", "off")
    if kind != "F32":
        full.unlink()
    exact, fast = ours(quantised, base, "exact"), ours(quantised, base, "fast")
    theirs = float(re.search(r"Mean\s+KLD:\s+(-?[\d.]+)", predict(quantised, base, "--kl-divergence"))[1])
    scored = exact["kld_tokens"] == fast["kld_tokens"] == CHUNKS * (WINDOW // 2 - 1)
    good = scored and exact["kld_mean"] <= EXACT and fast["kld_mean"] <= max(RATIO * theirs, DIGIT)
    print(f"{'PASS' if good else 'FAIL'} {kind:7} exact {exact['kld_mean']:.2e} (<= {EXACT:.0e}), fast "
          f"{fast['kld_mean']:.6f}, llama.cpp {theirs:.6f} (x{fast['kld_mean'] / max(theirs, 1e-9):.2f} <= {RATIO}); same top "
          f"token {100 * exact['top1_agree']:.1f} % and {100 * fast['top1_agree']:.1f} % of {exact['kld_tokens']}", flush=True)
    for path in folder.iterdir():
        path.unlink()
    return good


def main():
    for path, what in ((SLLM and Path(SLLM), "SLLM_BIN"), (MODEL, f"{MODEL.name} in SLLM_MODELS"),
                       (TEXT, "wikitext-2 in SLLM_SHARED"), (LLAMA / "llama-perplexity", "llama.cpp in LLAMA_BIN")):
        if not path or not path.exists():
            print(f"SKIP kld_types: {what} is not there")
            return 0
    with tempfile.TemporaryDirectory(prefix="sllm-kld-", dir=os.environ.get("KLD_FOLDER")) as folder:
        results = [compare(kind, Path(folder)) for kind in TYPES]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
