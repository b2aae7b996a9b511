"""Quantised files beside llama.cpp's own: the same types, nearly the same bytes, the same perplexity.

Both sides quantise the same F32 file. Tolerance 0.3 % of perplexity: a K-quant search that loses to
llama.cpp's costs 1 % and more on these models, while files that differ only in the rounding of fused
multiply-adds move it by less than 0.1 %. Where both files hold the same bytes, perplexity is theirs alone,
so it is measured once, to show that llama.cpp loads ours.
llama-quantize gives MXFP4 to the experts of a mixture alone, so that type is compared with --pure on both sides.
QUANTIZE_TYPES names the types, QUANTIZE_MODELS the files; QUANTIZE_CHUNKS sets the number of 512-token chunks (20 by default; a fifth of them for models over 1B).
"""
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.pop(0)  # the files beside this one are not the libraries of the same name
SLLM = os.environ.get("SLLM_BIN", "")
MODELS = Path(os.environ.get("SLLM_MODELS", ""))
SHARED = Path(os.environ.get("SLLM_SHARED", ""))
LLAMA = Path(os.environ.get("LLAMA_BIN", ""))
CHUNKS = int(os.environ.get("QUANTIZE_CHUNKS", "20"))
TYPES = os.environ.get("QUANTIZE_TYPES", "Q8_0 Q6_K Q5_K_M Q5_K_S Q5_1 Q5_0 Q4_K_M Q4_K_S Q4_1 Q4_0 IQ4_NL "
                       "IQ4_XS MXFP4 Q3_K_L Q3_K_M Q3_K_S Q2_K").split()
TOLERANCE = 0.003
FILES = {
    "smollm2-135m-instruct.Q4_1.gguf": 1,
    "qwen2.5-coder-1.5b-instruct.Q4_K_M.gguf": 5,
}


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"FAIL {' '.join(map(str, command[:3]))}: {(done.stderr or done.stdout)[-600:]}")
    return done.stdout + done.stderr


def perplexity(model, chunks):
    text = SHARED / "data/wikitext2/wiki.test.raw"
    out = run(LLAMA / "llama-perplexity", "-m", model, "-f", text, "-c", 512, "--chunks", chunks, "-t", 2, "-nr")
    return float(re.search(r"Final estimate: PPL = ([\d.]+)", out)[1])


def differing_bytes(ours, theirs):
    import gguf
    import numpy as np
    a, b = gguf.GGUFReader(ours), gguf.GGUFReader(theirs)
    by_name = {t.name: t for t in b.tensors}
    if {t.name for t in a.tensors} != set(by_name):
        raise SystemExit(f"FAIL {ours}: other tensors than llama.cpp's file")
    different = total = 0
    for t in a.tensors:
        other = by_name[t.name]
        if t.tensor_type != other.tensor_type:
            raise SystemExit(f"FAIL {t.name}: {t.tensor_type.name}, llama.cpp has {other.tensor_type.name}")
        x, y = t.data.view(np.uint8).ravel(), other.data.view(np.uint8).ravel()
        different += int((x != y).sum())
        total += x.size
    return different, total


def compare(model, kind, chunks, folder):
    full, ours, theirs = folder / "f32.gguf", folder / "ours.gguf", folder / "theirs.gguf"
    if not full.exists():
        run(SLLM, "import", model, full, "--type", "f32", "--quiet")
    pure, name = (["--pure"], "MXFP4_MOE") if kind == "MXFP4" else ([], kind)
    run(SLLM, "quantize", full, ours, "--type", kind, "--quiet", *pure)
    run(LLAMA / "llama-quantize", *pure, full, theirs, name, 2)
    different, total = differing_bytes(ours, theirs)
    name = f"{model.name.split('.Q')[0]} {kind}"
    if different == 0:
        print(f"PASS {name}: all {total} bytes equal llama.cpp's; perplexity of 1 chunk {perplexity(ours, 1)}")
        return True
    a, b = perplexity(ours, chunks), perplexity(theirs, chunks)
    good = abs(a / b - 1) <= TOLERANCE
    print(f"{'PASS' if good else 'FAIL'} {name}: perplexity {a} on ours, {b} on llama.cpp's "
          f"({100 * (a / b - 1):+.3f} %, {chunks} chunks); {different} of {total} bytes differ")
    return good


def main():
    for needed, what in ((SLLM, "SLLM_BIN"), (os.environ.get("LLAMA_BIN"), "LLAMA_BIN"),
                         (os.environ.get("SLLM_SHARED"), "SLLM_SHARED")):
        if not needed:
            print(f"SKIP quantize: {what} is not set")
            return 0
    good, any_model = True, False
    wanted = os.environ.get("QUANTIZE_MODELS", " ".join(FILES)).split()
    for file, divisor in FILES.items():
        if file not in wanted:
            continue
        model = MODELS / file
        if not model.exists():
            print(f"SKIP {file}: not in SLLM_MODELS")
            continue
        with tempfile.TemporaryDirectory(prefix="sllm-quantize-") as folder:
            for kind in TYPES:
                good &= compare(model, kind, max(1, CHUNKS // divisor), Path(folder))
                any_model = True
                sys.stdout.flush()
    if not any_model:
        print("SKIP quantize: no model at hand")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
