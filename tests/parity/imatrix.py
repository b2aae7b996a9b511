"""Importance matrices beside llama.cpp's own, made and used.

made    llama-imatrix and sllm imatrix read the same chunks with the same F32 model (no flash attention, an F32 cache):
        the same entries and counts, and sums that differ in every column by at most SUMS of themselves. llama.cpp sums
        in float32: over n tokens, one after the other, that alone may be off by n 2^-25 of the sum where all roundings
        fall one way, 1.2e-4 for 8 chunks; we sum in double. The layers before round too, each side in another order;
        on these models all of it together moves a column by 3e-5.
        llama-imatrix then reads our file and writes it in the older form, by which we quantise to the same bytes as
        by ours.
used    llama-quantize and sllm quantize make each type by our matrix. Both are judged by llama-perplexity against the
        F16 model on text that the matrix has not seen: our mean divergence at most WORSE times llama.cpp's, and lower
        than that of our file made without.
        The models at hand lie on the grid of their own quantisation, where a plain rounding loses nothing; so the
        F16 model is an equal one off the grid: columns are multiplied by random factors, and the norms or rows that
        feed them divided by the same.
WORSE is 1.02: the searches are the same, and where the bits of fused multiply-adds decide between two roundings the
divergence of these models moves by up to 0.6 %.
IMATRIX_CHUNKS sets the number of 512-token chunks (8 by default), IMATRIX_MODELS the files, IMATRIX_TYPES the types,
IMATRIX_PARTS "made" or "used".
"""
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

SLLM = os.environ.get("SLLM_BIN", "")
LLAMA = Path(os.environ.get("LLAMA_BIN") or "/nonexistent")
MODELS = Path(os.environ.get("SLLM_MODELS", ""))
TEXT = Path(os.environ.get("SLLM_SHARED", "")) / "data/wikitext2/wiki.test.raw"
CHUNKS, THREADS = int(os.environ.get("IMATRIX_CHUNKS", "8")), os.environ.get("IMATRIX_THREADS", "2")
TYPES = os.environ.get("IMATRIX_TYPES", "Q4_K_M Q3_K_M Q4_0").split()
FILES = os.environ.get("IMATRIX_MODELS", "smollm2-135m-instruct.Q4_1.gguf "
                       "qwen2.5-coder-0.5b-instruct.Q4_K_M.gguf").split()
PARTS = os.environ.get("IMATRIX_PARTS", "made used").split()
SUMS, WORSE = 1.2e-4, 1.02
EXACT = ("-ctk", "f32", "-ctv", "f32", "-fa", "off")

failed = False


def report(good, name, figure):
    global failed
    failed = failed or not good
    print(f"{'PASS' if good else 'FAIL'} {name}: {figure}", flush=True)


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise SystemExit(f"FAIL {' '.join(map(str, command[:4]))}: {(done.stderr or done.stdout)[-600:]}")
    return done.stdout + done.stderr


def entries(path):
    import gguf
    tensors = {t.name: t.data for t in gguf.GGUFReader(path).tensors}
    names = [n.removesuffix(".in_sum2") for n in tensors if n.endswith(".in_sum2")]
    return {n: (tensors[n + ".in_sum2"].ravel().astype("float64"), tensors[n + ".counts"].ravel()) for n in names}


def compare_sums(name, model, text, folder):
    import numpy as np
    ours, theirs, older = folder / "ours.gguf", folder / "theirs.gguf", folder / "older.dat"
    run(SLLM, "imatrix", "-m", model, "--text", text, "-o", ours, "--chunks", CHUNKS, "--mode", "exact", "-q")
    run(LLAMA / "llama-imatrix", "-m", model, "-f", text, "--chunks", CHUNKS, "-t", THREADS, "--no-ppl", *EXACT, "-o", theirs)
    a, b = entries(ours), entries(theirs)
    if a.keys() != b.keys() or any(not np.array_equal(a[n][1], b[n][1]) for n in a):
        return report(False, f"{name} made", f"other entries or counts than llama-imatrix's: {sorted(a.keys() ^ b.keys())[:3]}")
    column = {n: (np.abs(a[n][0] - b[n][0]) / np.maximum(b[n][0], 1e-9 * b[n][0].mean())).max() for n in a}
    worst = max(column, key=column.get)
    report(column[worst] <= SUMS, f"{name} made", f"{len(a)} entries of {int(a[worst][1][0])} tokens; the sums of a column "
           f"differ by {column[worst]:.1e} at most ({worst}, <= {SUMS:.1e})")
    run(LLAMA / "llama-imatrix", "-m", model, "--in-file", ours, "-o", older, "--output-format", "dat")
    for matrix in (older, ours):
        run(SLLM, "quantize", model, matrix.with_suffix(".q.gguf"), "--type", "q4_0", "--imatrix", matrix, "-q")
    different, total = differing_bytes(older.with_suffix(".q.gguf"), ours.with_suffix(".q.gguf"))
    # The older form holds means times chunks in float32: a last bit of them may decide between two roundings.
    report(different <= total / 1000, f"{name} .dat", f"{different} of {total} bytes of a Q4_0 file differ by the older form")


def tensors(path):
    import gguf
    return gguf.GGUFReader(path).tensors


def differing_bytes(one, other):
    import numpy as np
    by_name = {t.name: t for t in tensors(other)}
    different = total = 0
    for t in tensors(one):
        if t.tensor_type != by_name[t.name].tensor_type:
            raise SystemExit(f"FAIL {t.name}: {t.tensor_type.name} in one file, {by_name[t.name].tensor_type.name} in the other")
        x, y = t.data.view(np.uint8).ravel(), by_name[t.name].data.view(np.uint8).ravel()
        different += int((x != y).sum())
        total += x.size
    return different, total


def off_the_grid(model, folder):
    """An F16 GGUF file of an equal model whose numbers lie on no grid of blocks."""
    import json

    import numpy as np
    from safetensors.numpy import load_file, save_file
    hf, out = folder / "hf", folder / "f16.gguf"
    run(SLLM, "import", model, hf, "--type", "f32", "-q")
    weights, config = load_file(hf / "model.safetensors"), json.loads((hf / "config.json").read_text())
    random = np.random.default_rng(0)

    def factors(n):
        return np.exp(0.3 * random.standard_normal(n)).astype("float32")
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    width = config.get("head_dim") or config["hidden_size"] // heads
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        for norm, readers in (("input_layernorm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
                              ("post_attention_layernorm", ("mlp.gate_proj", "mlp.up_proj"))):
            s = factors(config["hidden_size"])
            weights[f"{layer}{norm}.weight"] = weights[f"{layer}{norm}.weight"] / s
            for reader in readers:
                weights[f"{layer}{reader}.weight"] = weights[f"{layer}{reader}.weight"] * s
        s = factors(config["intermediate_size"])
        weights[f"{layer}mlp.up_proj.weight"] = weights[f"{layer}mlp.up_proj.weight"] / s[:, None]
        weights[f"{layer}mlp.down_proj.weight"] = weights[f"{layer}mlp.down_proj.weight"] * s
        s = factors(kv_heads * width)
        weights[f"{layer}self_attn.v_proj.weight"] = weights[f"{layer}self_attn.v_proj.weight"] / s[:, None]
        if f"{layer}self_attn.v_proj.bias" in weights:
            weights[f"{layer}self_attn.v_proj.bias"] = weights[f"{layer}self_attn.v_proj.bias"] / s
        s = np.repeat(s.reshape(kv_heads, width), heads // kv_heads, axis=0).ravel()
        weights[f"{layer}self_attn.o_proj.weight"] = weights[f"{layer}self_attn.o_proj.weight"] * s
    save_file(weights, hf / "model.safetensors", metadata={"format": "pt"})
    run(SLLM, "import", hf, out, "--type", "f16", "-q")
    return out


def divergence(model, base):
    out = run(LLAMA / "llama-perplexity", "-m", model, "--kl-divergence-base", base, "--kl-divergence", "-t", THREADS)
    return (float(re.search(r"Mean\s+KLD:\s+(-?[\d.]+)", out)[1]),
            float(re.search(r"Mean PPL\(Q\)\s*:\s+([\d.]+)", out)[1]))


def compare_files(name, model, seen, unseen, folder):
    base, matrix, ours, theirs, without = (folder / f for f in ("base.kld", "m.gguf", "o.gguf", "t.gguf", "w.gguf"))
    run(SLLM, "imatrix", "-m", model, "--text", seen, "-o", matrix, "--chunks", CHUNKS, "-q")
    run(LLAMA / "llama-perplexity", "-m", model, "-f", unseen, "-c", 512, "--chunks", CHUNKS, "-t", THREADS,
        "--kl-divergence-base", base)
    for kind in TYPES:
        run(SLLM, "quantize", model, ours, "--type", kind, "--imatrix", matrix, "-q")
        run(SLLM, "quantize", model, without, "--type", kind, "-q")
        run(LLAMA / "llama-quantize", "--imatrix", matrix, model, theirs, kind, THREADS)
        different, total = differing_bytes(ours, theirs)
        (a, a_ppl), (b, b_ppl), (c, c_ppl) = (divergence(f, base) for f in (ours, theirs, without))
        report(a <= WORSE * b and a < c, f"{name} {kind}",
               f"divergence {a:.5f} by the matrix, {b:.5f} llama.cpp's (x{a / b:.3f} <= {WORSE}), {c:.5f} without; perplexity "
               f"{a_ppl:.4f}, {b_ppl:.4f}, {c_ppl:.4f}; {different} of {total} bytes differ from llama.cpp's")


def main():
    for path, what in ((SLLM and Path(SLLM), "SLLM_BIN"), (TEXT, "wikitext-2 in SLLM_SHARED"),
                       (LLAMA / "llama-imatrix", "llama-imatrix in LLAMA_BIN")):
        if not path or not path.exists():
            print(f"SKIP imatrix: {what} is not there")
            return 0
    models = [MODELS / f for f in FILES if (MODELS / f).exists()]
    if not models:
        print("SKIP imatrix: no model at hand")
    for model in models:
        name = model.name.split(".Q")[0]
        with tempfile.TemporaryDirectory(prefix="sllm-imatrix-") as temporary:
            folder = Path(temporary)
            text = TEXT.read_text(encoding="utf-8")
            seen, unseen = folder / "seen.txt", folder / "unseen.txt"
            seen.write_text(text[:len(text) // 2], encoding="utf-8")
            unseen.write_text(text[len(text) // 2:], encoding="utf-8")
            if "made" in PARTS:
                run(SLLM, "import", model, folder / "f32.gguf", "--type", "f32", "-q")
                compare_sums(name, folder / "f32.gguf", seen, folder)
                (folder / "f32.gguf").unlink()
            if "used" in PARTS:
                compare_files(name, off_the_grid(model, folder), seen, unseen, folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
