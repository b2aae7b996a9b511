"""Reading, writing, loading and quantising beside llama.cpp, on the same file with the same threads.

Models: S SmolLM2-135M Q4_1, M Qwen2.5-Coder-0.5B Q4_K_M, L Qwen2.5-Coder-1.5B in several types (made by llama-quantize from
the Q4_K_M file, which costs quality but no speed), X the shape of a 7B model (SHARED/tools/make_7b.py).
"""
import functools
import json
import os
import re
import shutil
import tempfile
from pathlib import Path

from programs import PYTHON, SHARED, SLLM, THREADS, last_json, llama, model, run, run_measured
from turns import Beside, Case, Unavailable

WORK = Path(os.environ.get("BENCH_WORK", "/var/tmp/sllm-bench"))
S, M, L = "smollm2-135m-instruct.Q4_1.gguf", "qwen2.5-coder-0.5b-instruct.Q4_K_M.gguf", "qwen2.5-coder-1.5b-instruct.Q4_K_M.gguf"
KLD_CHUNKS = 4  # of 512 tokens of wikitext-2


@functools.cache
def file_of(name):
    """S, M, X, or L with a type: "L Q4_0"."""
    if name in "SM":
        return model({"S": S, "M": M}[name])
    WORK.mkdir(parents=True, exist_ok=True)
    if name == "X":
        made = WORK / "7b-shape.Q4_K_M.gguf"
        if not made.exists():
            script = SHARED / "tools/make_7b.py"
            if not script.exists():
                raise Unavailable(f"there is neither {made} nor {script}, which makes it")
            run([PYTHON, script, f"{made}.part"])
            os.replace(f"{made}.part", made)
        return made
    kind = name.split()[1]
    if kind == "Q4_K_M":
        return model(L)
    made = WORK / f"1.5b.{kind}.gguf"
    if not made.exists():
        run([llama("llama-quantize"), "--allow-requantize", model(L), f"{made}.part", kind, THREADS])
        os.replace(f"{made}.part", made)
    return made


def bench(path, mode, *more):
    return last_json([SLLM, "bench", "-m", path, "--mode", mode, "--threads", THREADS, "--repeat", 1, "--json", "-q", *more])


@functools.cache
def limits(mode):
    """The machine's peaks in this run, on the smallest model."""
    return bench(file_of("S"), mode, "--prompt", 16, "--gen", 4, "--limits")["limits"]


def llama_bench(path, prompt, gen, depth=0):
    done = run([llama("llama-bench"), "-m", path, "-p", prompt, "-n", gen, "-d", depth, "-t", THREADS, "-r", 1, "-o", "json"])
    return {"value": json.loads(done.stdout)[0]["avg_ts"]}


@functools.cache
def divergence(name, mode):
    """Mean KLD of our mode and of llama.cpp itself from the same weights in F32, exactly computed."""
    path, text = file_of(name), SHARED / "data/wikitext2/wiki.test.raw"
    if not text.exists():
        return []
    with tempfile.TemporaryDirectory(dir=WORK if WORK.exists() else None) as folder:
        full, base = Path(folder) / "f32.gguf", Path(folder) / "base.kld"
        run([llama("llama-quantize"), "--allow-requantize", path, full, "F32", THREADS])
        words = ["-f", text, "-c", 512, "-b", 512, "--chunks", KLD_CHUNKS, "-t", THREADS, "--kl-divergence-base", base]
        run([llama("llama-perplexity"), "-m", full, *words, "-ctk", "f32", "-ctv", "f32", "-fa", "off"])
        full.unlink()
        said = run([llama("llama-perplexity"), "-m", path, *words, "--kl-divergence"]).stdout
        ours = last_json([SLLM, "eval", "-m", path, "--mode", mode, "--kld", base, "--threads", THREADS, "--json", "-q"])
    theirs = float(re.search(r"Mean\s+KLD:\s+(-?[\d.]+)", said)[1])
    return [Beside(f"mean KLD from exact, {mode}", ours["kld_mean"], at_most=max(1.1 * theirs, 1e-6)),
            Beside("llama.cpp's own", theirs)]


def prefill(name, at_least, share=None, mode="fast"):
    def beside(ours, theirs):
        # As `sllm bench` takes it: a processor without such instructions is measured by its F32 peak, which int8 may exceed.
        unit = {"bf16": "bf16_gflops", "fast": "int8_gops"}[mode]
        peak = unit.split("_")[0] if unit in limits(mode) else "f32"
        return [Beside(f"share of the {peak} peak", ours["share"], at_least=share), *divergence(name, mode)]

    def ours():
        r = bench(file_of(name), mode, "--prompt", 512, "--gen", 1, "--limits")
        return {"value": r["prefill_tok_s"], "share": r["limits"]["prefill_share_of_arithmetic"]}
    return Case("prefill 512", name, "llama-bench", "tokens/s", ours, lambda: llama_bench(file_of(name), 512, 0), at_least, beside=beside)


def decode(name, at_least, low=None, share=None, depth=1, gen=128):
    def ours():
        r = bench(file_of(name), "fast", "--prompt", 1, "--gen", gen, "--depth", depth, "--limits")
        return {"value": r["decode_tok_s"], "share": r["limits"]["decode_share_of_memory"]}
    what = f"decode {gen}" + (f" after {depth}" if depth > 1 else "")
    return Case(what, name, "llama-bench", "tokens/s", ours, lambda: llama_bench(file_of(name), 0, gen, depth if depth > 1 else 0), at_least,
                low, beside=lambda ours, theirs: [Beside("share of the read bandwidth", ours["share"], at_least=share)])


def streams(name, at_least, n=8, prompt=128, gen=64):
    def ours():
        r = bench(file_of(name), "fast", "--prompt", 1, "--gen", gen, "--depth", prompt, "--batch", n)
        return {"value": r["batch"][0]["decode_tok_s"]}

    def theirs():
        done = run([llama("llama-batched-bench"), "-m", file_of(name), "-c", 2 * n * (prompt + gen), "-npp", prompt, "-ntg", gen, "-npl", n,
                    "-t", THREADS, "-tb", THREADS, "--output-format", "jsonl"])
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        return {"value": json.loads(lines[-1])["speed_tg"]}
    return Case(f"{n} streams, {prompt} in, {gen} out", name, "llama-batched-bench", "tokens/s", ours, theirs, at_least)


def load(name, at_least):
    """Seconds from the start of the process to the end of its first token, and the most memory it held. The first run of
    each side is not counted: it fills the page cache, and makes whatever a program keeps beside a model."""
    warm = set()

    def measured(command):
        if command[0] not in warm:
            warm.add(command[0])
            run(command)
        seconds, memory, _ = run_measured(command)
        return {"value": seconds, "bytes": memory}

    def ours():
        return measured([SLLM, "complete", "-m", file_of(name), "--mode", "fast", "-p", "Hello", "-n", "1", "--temp", "0", "-t", THREADS, "-c", "512", "-q"])

    def theirs():
        return measured([llama("llama-completion"), "-m", file_of(name), "-p", "Hello", "-n", "1", "--temp", "0", "-t", THREADS, "-c", "512", "-no-cnv",
                         "--no-warmup"])

    def beside(ours, theirs):
        return [Beside("VmHWM over the file's size", ours["bytes"] / file_of(name).stat().st_size, at_most=1.15),
                Beside("llama.cpp's", theirs["bytes"] / file_of(name).stat().st_size)]
    return Case("load to first token", name, "llama-completion", "s", ours, theirs, at_least, more_is_better=False, beside=beside)


def lookup(name, at_least):
    """Copy-heavy editing, guessed from the text itself: the peer is ourselves without it, and the text must be the same."""
    lines = "".join(f"    total_{i} = compute(values[{i}], weights[{i}], offset={i * 7 % 13})\n" for i in range(24))
    prompt = (f"Rename the function compute to evaluate in this code, and change nothing else.\n\n```python\ndef run(values, weights):\n{lines}```\n\n"
              f"The changed code:\n\n```python\ndef run(values, weights):\n    total_0 = evaluate(values[0], weights[0], offset=0)\n")
    texts = {}

    def side(tokens):
        r = last_json([SLLM, "complete", "-m", file_of(name), "--mode", "fast", "-p", prompt, "-n", 256, "--temp", "0", "-t", THREADS,
                       "--lookup", tokens, "--json", "-q"])
        texts[tokens] = r["text"]
        return {"value": (len(r["token_ids"]) - 1) / (r["seconds"] - r["seconds_to_first"]), "accepted": r["lookup"]["accepted"]}

    def beside(ours, theirs):
        return [Beside("same text (1: yes)", float(texts[8] == texts[0]), at_least=1), Beside("tokens accepted", ours["accepted"])]
    return Case("copy-heavy editing, 256 tokens", name, "without lookup", "tokens/s", lambda: side(8), lambda: side(0), at_least, beside=beside)


def quantise(kind, at_least):
    """Both write to memory (tmpfs), where no disk is waited for."""
    def measured(command):
        folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
        try:
            seconds, memory, _ = run_measured([*command, folder / "q.gguf", *({"Q4_K": ["Q4_K_M"]}.get(kind, [kind]) if "llama" in str(command[0]) else [])])
            return {"value": seconds, "bytes": memory}
        finally:
            shutil.rmtree(folder)

    def ours():
        return measured([SLLM, "quantize", "-q", "--threads", THREADS, "-t", "Q4_K_M" if kind == "Q4_K" else kind, file_of("L BF16")])

    def theirs():
        return measured([llama("llama-quantize"), file_of("L BF16")])
    return Case(f"quantise BF16 to {kind}", "L", "llama-quantize", "s", ours, theirs, at_least, more_is_better=False,
                beside=lambda ours, theirs: [Beside("VmHWM, MB", ours["bytes"] / 1e6), Beside("llama.cpp's", theirs["bytes"] / 1e6)])


def perplexity(name, at_least, chunks=20):
    """Of the whole process, which both sides spend almost wholly in the forward."""
    text = SHARED / "data/wikitext2/wiki.test.raw"

    def ours():
        seconds, _, done = run_measured([SLLM, "eval", "-m", file_of(name), "--mode", "fast", "--perplexity", text, "--window", 512, "--chunks",
                                         chunks, "--threads", THREADS, "--json", "-q"])
        return {"value": chunks * 512 / seconds, "perplexity": json.loads(done.stdout)["perplexity"]}

    def theirs():
        seconds, _, done = run_measured([llama("llama-perplexity"), "-m", file_of(name), "-f", text, "-c", 512, "--chunks", chunks, "-t", THREADS])
        said = done.stdout + done.stderr
        return {"value": chunks * 512 / seconds, "perplexity": float(re.search(r"Final estimate: PPL = ([\d.]+)", said)[1])}
    return Case(f"perplexity of {chunks} x 512", name, "llama-perplexity", "tokens/s", ours, theirs, at_least,
                beside=lambda ours, theirs: [Beside("perplexity", ours["perplexity"]), Beside("llama.cpp's", theirs["perplexity"])])


def kernels_of_avx2():
    """Where there is no AVX-512, or SLLM_ISA=avx2 (with a llama.cpp in LLAMA_BIN that was built without AVX-512)."""
    return [prefill("S", None), prefill("M", 1.3), prefill("L Q4_K_M", None), prefill("X", 1.3),
            decode("S", None), decode("M", 1.0), decode("L Q4_K_M", None), decode("X", 1.0),
            decode("L Q4_K_M", None, depth=8192, gen=32), streams("L Q4_K_M", None)]


def kernels_of_avx512():
    return [prefill("S", None), prefill("M", 2.0), prefill("L Q4_K_M", 2.0, 0.58), prefill("L Q4_0", 2.0), prefill("L Q8_0", 2.3),
            prefill("L BF16", 1.3, 0.80, mode="bf16"), prefill("X", 2.2, 0.62),
            decode("S", 1.25), decode("M", 1.25), decode("L Q4_K_M", 1.03, 0.98, 0.90), decode("X", 1.03, 0.98, 0.90),
            decode("L Q4_K_M", 1.2, depth=8192, gen=32), streams("L Q4_K_M", 3.0), streams("X", 3.0)]


def cases():
    avx512 = os.environ.get("SLLM_ISA") != "avx2" and "avx512f" in Path("/proc/cpuinfo").read_text()
    return (kernels_of_avx512() if avx512 else kernels_of_avx2()) + [
        load("X", 2.0), lookup("L Q4_K_M", 1.6),
        quantise("Q4_K", 3.0), quantise("Q6_K", 3.0), quantise("Q4_0", 1.5), quantise("Q8_0", 1.5),
        perplexity("M", 1.9)]
