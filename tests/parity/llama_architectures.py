"""Every architecture that llama.cpp knows: our F32 GGUF of the tiny model loads there and gives transformers' logits; and
its converter's GGUF of a model with Llama 3's tokenizer has the same tensors, bit for bit, and the same metadata, and
loads here.

Logits: bound 1e-4 (the files and caches are f32; the peers differ in the order of sums). What llama.cpp does otherwise is
in RULES with its reason; there, fewer positions or a wider bound are compared, or none. Metadata: what may differ is in
KEYS with its reason.
"""
import json
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
CONVERTER = LOGITS.parents[2] / "llama_cpp_python-0.3.36/vendor/llama.cpp/convert_hf_to_gguf.py"
sys.path.append(str(ROOT / "tests/golden"))
ALL = 1 << 30

GELU = (ALL, 1e-2, "llama.cpp reads GELU from a table of halves, each off by up to 2^-11 of itself")
LONG = "llama.cpp chooses long factors by the context's size, which is at least 256, not by the text's length"
RULES = {  # name: positions, bound, reason
    "mistral": (9, 1e-4, "under the architecture llama, llama.cpp has no sliding window"),
    "qwen2": (7, 1e-4, "llama.cpp's qwen2 has no sliding window"),
    "exaone4": (0, 0, "llama.cpp gives a window, and layers without rotation, to the model of 64 layers alone"),
    "gemma2": (0, 0, "llama.cpp scales by the head's width, not by query_pre_attn_scalar"),
    "lfm2_bias": (0, 0, "llama.cpp has no biases in LFM2's convolutions"),
    "qwen3_5_bias": (0, 0, "llama.cpp has no biases in Qwen 3.5, nor value heads of another width than the key heads'"),
    "phi3": (0, 0, LONG),
    "phi3_long": (ALL, 1e-4, LONG),
    "bert": (0, 0, "an encoder: see embeddings"),
    "xlm_roberta": (0, 0, "an encoder: see embeddings"),
    "gemma3_embedding": (0, 0, "an encoder: see embeddings"),
    "hyperclovax": (0, 0, "llama.cpp has no hyperclovax"),
    "hyperclovax_plain": (0, 0, "llama.cpp has no hyperclovax"),
    "gemma3": GELU, "gemma4": GELU, "gemma4_plain": GELU, "gpt_neox": GELU, "gpt_neox_serial": GELU,
}

KEYS = {  # the end of a key: why one side alone has it, or the two have other values
    "general.name": "theirs is capitalised",
    "general.size_label": "ours has none",
    "huggingface.generation_config": "ours: the file of Hugging Face as it is",
    "sllm.model_type": "ours: which of the models that share a name in GGUF it is",
    "tokenizer.ggml.add_eos_token": "ours is left out where it is false",
    "tokenizer.ggml.pre": "several names stand for this pattern; theirs goes by a hash of the vocabulary",
    ".attention.key_length": "ours is left out where it is the model's width by its heads",
    ".attention.value_length": "as key_length",
    ".rope.dimension_count": "theirs is left out where a whole head rotates",
    ".vocab_size": "theirs is left out for some architectures",
    ".rope.llama3.factor": "ours beside the divisors, so that config.json comes back as it was",
    ".rope.llama3.low_freq_factor": "as llama3.factor",
    ".rope.llama3.high_freq_factor": "as llama3.factor",
    ".rope.llama3.original_context_length": "as llama3.factor",
    ".attention.sliding_window": "ours, where llama.cpp has no window for the architecture",
    ".attention.sliding_window_pattern": "ours: which layers slide; theirs has it in the program",
    ".attention.scale": "ours: query_pre_attn_scalar; theirs has it in the program",
    ".rope.freq_base_swa": "ours is left out at its default",
    ".rope.scaling.yarn_beta_slow": "ours is left out at its default",
    ".rope.scaling.yarn_mscale": "ours, where it is not 1",
}
# Not asked of the converter: gemma2, gemma4 and phi3 (want tokenizer.model), gpt_neox (wants rotary_pct, which transformers
# 5 no longer writes), qwen2 (refuses a sliding window), qwen3_5 (wants a predictor of further tokens), exaone and
# hyperclovax (not known to it or to transformers).
CONVERTED = ["llama", "mistral", "ministral3", "qwen3", "gemma3", "exaone4", "granite", "smollm3", "olmo2", "lfm2"]


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


def with_llama3_tokenizer(name, folder, source):
    """A tiny model whose vocabulary is Llama 3's: the converter goes by the tokenizer."""
    import torch
    import make_architecture_goldens as goldens
    from transformers import AutoConfig, AutoModelForCausalLM
    model_type, changes = goldens.MODELS[name]
    options = {k: v for k, v in {**goldens.COMMON, **changes}.items() if v is not None or k == "pad_token_id"}
    options.update(vocab_size=128256, bos_token_id=128000, eos_token_id=128001)
    if name == "llama":
        options["head_dim"] = 64  # of two divisors alone nobody can tell the scaling that made them
    torch.manual_seed(1)
    AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **options), dtype=torch.float32).save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(source / file, folder / file)


def contents(file):
    import gguf
    reader = gguf.GGUFReader(file)
    return ({k: f.contents() for k, f in reader.fields.items() if not k.startswith("GGUF")},
            {t.name: (t.tensor_type, list(t.shape), bytes(t.data)) for t in reader.tensors})


def same_tensor(name, theirs, ours):
    if theirs == ours or theirs is None or ours is None or name != "rope_freqs.weight":
        return theirs == ours
    import numpy  # the divisors of llama3's rope are computed on each side: a last place of float32
    return numpy.allclose(numpy.frombuffer(theirs[2], "f4"), numpy.frombuffer(ours[2], "f4"), rtol=1.2e-7, atol=0)


def convert(name, work, tokenizer):
    folder, theirs, ours, back = (work / x for x in ("tiny", "theirs.gguf", "ours.gguf", "back"))
    with_llama3_tokenizer(name, folder, tokenizer)
    done = run(sys.executable, CONVERTER, folder, "--outtype", "f32", "--outfile", theirs)
    if done.returncode:
        return print(f"FAIL {name}: llama.cpp's converter: {done.stderr.strip()[-200:]}", flush=True)
    for source, target in ((folder, ours), (theirs, back)):
        done = run(SLLM, "import", source, target, "--type", "f32", "-q")
        if done.returncode:
            return print(f"FAIL {name}: import {source.name}: {done.stderr.strip()[-300:]}", flush=True)
    (their_keys, their_tensors), (our_keys, our_tensors) = contents(theirs), contents(ours)
    tensors = [n for n in their_tensors.keys() | our_tensors.keys() if not same_tensor(n, their_tensors.get(n), our_tensors.get(n))]
    other = [k for k in their_keys.keys() | our_keys.keys() if their_keys.get(k) != our_keys.get(k)]
    unknown = {k: (their_keys.get(k), our_keys.get(k)) for k in other if not any(k.endswith(e) for e in KEYS)}
    if name == "llama" and json.loads((back / "config.json").read_text())["vocab_size"] != 128256:
        unknown["config.json's vocab_size"] = "lost"
    good = not tensors and not unknown
    print(f"{'PASS' if good else 'FAIL'} {name}: beside llama.cpp's converter: {len(our_tensors)} tensors the same, "
          f"{len(their_keys) - len(other)} keys too; known differences {len(other) - len(unknown)}; its file is read"
          + (f"; tensors {tensors[:4]}, keys {str(unknown)[:300]}" if not good else ""), flush=True)


def main():
    if not LOGITS.exists():
        return print("SKIP llama_architectures: llama_logits is not at hand")
    for golden in sorted((ROOT / "tests/golden/architectures").iterdir()):
        if not (golden / "golden.safetensors").exists():
            continue
        with tempfile.TemporaryDirectory() as work:
            compare(golden, Path(work))
    tokenizer = Path(os.environ.get("SLLM_SHARED") or "nowhere", "data/tok_llama3_hf")
    if not CONVERTER.exists() or not (tokenizer / "tokenizer.json").exists():
        return print("SKIP converter: convert_hf_to_gguf.py or Llama 3's tokenizer is not at hand")
    for name in CONVERTED:
        with tempfile.TemporaryDirectory() as work:
            convert(name, Path(work), tokenizer)


main()
