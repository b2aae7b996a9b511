"""LoRA adapters and models in several files beside PEFT, mlx-lm, llama.cpp, its converter, gguf-py and transformers.

A tiny random llama (grouped heads, so that q and k rows are permuted in GGUF) and qwen2 (biases), with SmolLM2's
tokenizer. For each kind of adapter PEFT writes: logits of ours with it against PEFT's in float32, the merged weights
against merge_and_unload, and PEFT -> GGUF LoRA -> PEFT bit by bit. Against llama.cpp: our GGUF LoRA and its converter's
hold the same tensors, each program reads both, and the logits agree.

Tolerances: logits 1e-5 of their range against PEFT and 1e-4 against llama.cpp (float32 sums in another order over widths
of 64 to 192 move them by about 1e-6); merged weights 1e-6, a float32 rounding of numbers below 4.
"""
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.pop(0)  # the files beside this one are not the libraries of the same name
HERE = Path(__file__).resolve().parent
SLLM = os.environ.get("SLLM_BIN", "")
MODELS = Path(os.environ.get("SLLM_MODELS", ""))
LLAMA = Path(os.environ.get("LLAMA_BIN") or "/nonexistent")
LOGITS = LLAMA / "llama_logits"
SOURCES = Path(os.environ.get("LLAMA_SOURCES") or HERE.parents[1] / "build/parity/llama_cpp_python-0.3.36/vendor/llama.cpp")
FILE = "smollm2-135m-instruct.Q4_1.gguf"
IDS = [504, 3575, 282, 4649, 314, 1, 30000, 49151, 17, 260, 253, 42, 9000, 3, 2, 77]


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"FAIL {' '.join(map(str, command[:3]))}: {(done.stderr or done.stdout)[-900:]}")
    return done.stdout


def report(good, text):
    print(("PASS " if good else "FAIL ") + text, flush=True)
    return bool(good)


def worst(pairs):
    values = [(a.float() - b.float()).abs().max().item() for a, b in pairs]
    return max(values) if all(map(math.isfinite, values)) else math.nan  # max() passes over NaN


def make_base(kind, work, tokenizer):
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config
    torch.manual_seed(7)
    shape = dict(vocab_size=49152, hidden_size=64, intermediate_size=192, num_hidden_layers=3, num_attention_heads=4,
                 num_key_value_heads=2, max_position_embeddings=256, bos_token_id=1, eos_token_id=2, initializer_range=0.2)
    config = LlamaConfig(**shape, tie_word_embeddings=True) if kind == "llama" else Qwen2Config(
        **shape, tie_word_embeddings=False, rope_parameters={"rope_type": "default", "rope_theta": 1e6})  # mlx-lm's default
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.data.normal_(0, 0.5)
    folder = work / kind
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / name, folder)
    return folder


LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
KINDS = {  # name -> LoraConfig fields; "dtype": how it is saved; "gguf": can a GGUF LoRA hold it bit by bit
    "all linears": dict(target_modules="all-linear", r=8, lora_alpha=16),
    "rslora": dict(target_modules=["q_proj", "v_proj", "down_proj"], r=16, lora_alpha=12, use_rslora=True),
    "rank_pattern": dict(target_modules=LINEARS, r=8, lora_alpha=16, rank_pattern={"k_proj": 4, "layers.1.mlp.up_proj": 2}),
    "alpha_pattern": dict(target_modules=LINEARS, r=8, lora_alpha=16, alpha_pattern={"q_proj": 48, "^model.layers.2.mlp.up_proj": 3}, gguf=False),
    "layers_to_transform": dict(target_modules=["q_proj", "k_proj"], r=4, lora_alpha=4, layers_to_transform=[1, 2]),
    "a regular expression": dict(target_modules=r".*layers\.[02]\.self_attn\.(q|k|o)_proj", r=4, lora_alpha=7),
    "fan_in_fan_out": dict(target_modules=["up_proj"], r=4, lora_alpha=8, fan_in_fan_out=True),
    "bfloat16": dict(target_modules=LINEARS, r=8, lora_alpha=16, dtype="bfloat16"),
    "float16": dict(target_modules=LINEARS, r=8, lora_alpha=16, dtype="float16"),
    "DoRA": dict(target_modules=LINEARS, r=8, lora_alpha=16, use_dora=True, gguf=None),
}


def make_adapter(base, fields, out):
    """Saves a random adapter; returns PEFT's logits with it and its merged weights."""
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model
    from safetensors.torch import load_file, save_file
    from transformers import AutoModelForCausalLM
    fields = dict(fields)
    dtype, _ = fields.pop("dtype", None), fields.pop("gguf", None)
    torch.manual_seed(3)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), LoraConfig(task_type="CAUSAL_LM", **fields))
    for name, parameter in model.named_parameters():
        if "lora_magnitude" in name:
            parameter.data.mul_(1 + 0.3 * torch.rand_like(parameter))
        elif "lora_" in name:
            parameter.data.normal_(0, 0.1)
    model.save_pretrained(out)
    if dtype:
        tensors = {k: v.to(getattr(torch, dtype)) for k, v in load_file(out / "adapter_model.safetensors").items()}
        save_file(tensors, out / "adapter_model.safetensors", {"format": "pt"})
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), out)
    with torch.no_grad():
        logits = model(torch.tensor([IDS])).logits[0]
    return logits, {k: v.clone() for k, v in model.merge_and_unload().state_dict().items()}


def our_logits(work, model, *flags):
    """Logits of every position: each prefix is a prompt."""
    import numpy as np
    import torch
    (work / "ids.json").write_text(json.dumps([IDS[:n + 1] for n in range(len(IDS))]))
    run(SLLM, "logits", "-m", model, "--mode", "exact", "--ids-file", work / "ids.json", "-o", work / "ours.npy", "-q", *flags)
    return torch.from_numpy(np.load(work / "ours.npy"))


def relative(a, b):
    return worst([(a, b)]) / (b.max() - b.min()).item()


def same_files(a, b):
    """Whether two safetensors files hold the same bits under the same names."""
    import torch
    from safetensors.torch import load_file
    a, b = load_file(a), load_file(b)
    return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and torch.equal(a[k], b[k]) for k in a)


def beside_peft(kind, base, work):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM
    good = True
    for number, (name, fields) in enumerate(KINDS.items()):
        adapter, back = work / f"{kind}-a{number}", work / f"{kind}-b{number}"
        logits, merged = make_adapter(base, fields, adapter)
        with_it = relative(our_logits(work, base, "--adapter", adapter), logits)
        run(SLLM, "merge", base, adapter, work / "merged", "--type", "f32", "-q")
        ours = AutoModelForCausalLM.from_pretrained(work / "merged", dtype=torch.float32).state_dict()
        weights = worst([(merged[k], ours[k]) for k in ours])
        text = f"{kind}, {name}: logits differ by {with_it:.1e} of their range, merged weights by {weights:.1e} from PEFT's"
        bits = True
        if fields.get("gguf", True) is not None:
            run(SLLM, "import", adapter, work / "a.gguf", "--base", base, "-q")
            run(SLLM, "import", work / "a.gguf", back, "--base", base, "-q")
            as_gguf = relative(our_logits(work, base, "--adapter", work / "a.gguf"), logits)
            again = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), back)
            with torch.no_grad():
                loaded = relative(again(torch.tensor([IDS])).logits[0], logits)
            text += f"; as a GGUF LoRA by {as_gguf:.1e}, back in PEFT by {loaded:.1e}"
            bits = as_gguf <= 1e-5 and loaded <= 1e-5
            if fields.get("gguf", True):
                same = same_files(adapter / "adapter_model.safetensors", back / "adapter_model.safetensors")
                bits = bits and same
                text += f", {'bit by bit the same' if same else 'NOT the same bits'}"
        good &= report(with_it <= 1e-5 and weights <= 1e-6 and bits, text)
    return good


def gguf_tensors(path):
    import gguf
    return {t.name: (t.tensor_type.name, t.data.tobytes()) for t in gguf.GGUFReader(path).tensors}


def beside_converter(kind, base, work):
    """llama.cpp's convert_lora_to_gguf.py: the same tensors as ours, and what it writes read here."""
    good = True
    for name in ("all linears", "rank_pattern", "bfloat16"):
        adapter = work / f"{kind}-c"
        logits, _ = make_adapter(base, KINDS[name], adapter)
        run(SLLM, "import", adapter, work / "ours.gguf", "--base", base, "-q")
        run(sys.executable, SOURCES / "convert_lora_to_gguf.py", "--base", base, "--outfile", work / "theirs.gguf",
            "--outtype", "bf16" if name == "bfloat16" else "f32", adapter)
        ours, theirs = gguf_tensors(work / "ours.gguf"), gguf_tensors(work / "theirs.gguf")
        here = relative(our_logits(work, base, "--adapter", work / "theirs.gguf"), logits)
        good &= report(ours == theirs and here <= 1e-5,
                       f"{kind}, {name}: llama.cpp's converter writes {'the same' if ours == theirs else 'OTHER'} {len(theirs)} tensors; read here its logits differ by {here:.1e} from PEFT's")
    return good


def beside_llama_cpp(kind, base, work):
    import torch
    good = True
    run(SLLM, "import", base, work / "base.gguf", "--type", "f32", "-q")
    for name in ("all linears", "rslora", "rank_pattern", "alpha_pattern", "bfloat16"):
        logits, _ = make_adapter(base, KINDS[name], work / f"{kind}-l")
        # As F32: ggml rounds to bfloat16 what it multiplies BF16 matrices with, which alone moves the logits by 4e-3 of
        # their range. That the BF16 file holds the right tensors, beside_converter shows.
        run(SLLM, "import", work / f"{kind}-l", work / "ours.gguf", "--base", base, "--type", "f32", "-q")
        lines = run(LOGITS, work / "base.gguf", ",".join(map(str, IDS)), work / "ours.gguf").splitlines()
        theirs = torch.tensor([[float(x) for x in line.split()] for line in lines])
        difference, from_peft = relative(our_logits(work, work / "base.gguf", "--adapter", work / "ours.gguf"), theirs), relative(theirs, logits)
        good &= report(difference <= 1e-4 and from_peft <= 1e-4,
                       f"{kind}, {name}: our GGUF LoRA in llama.cpp: its logits differ by {difference:.1e} of their range from ours, {from_peft:.1e} from PEFT's")
    return good


def beside_mlx(kind, base, work):
    """Adapters as mlx-lm makes and saves them on the last two layers; its logits, ours, and PEFT's after an import."""
    import mlx.core as mx
    import numpy as np
    import torch
    from mlx.utils import tree_flatten
    from mlx_lm.tuner.utils import linear_to_lora_layers
    from mlx_lm.utils import load_model, save_config
    from peft import PeftModel
    from transformers import AutoModelForCausalLM
    good = True
    mx.random.seed(5)
    for method in ("lora", "dora"):
        lora = {"rank": 4, "scale": 5.0, "dropout": 0.0, "keys": ["self_attn.q_proj", "self_attn.k_proj", "mlp.down_proj"]}
        model, _ = load_model(base)
        model.freeze()
        linear_to_lora_layers(model, 2, lora, use_dora=method == "dora")
        weights = {k: v * (1 + 0.3 * mx.random.uniform(shape=v.shape)) if k.endswith(".m") else 0.1 * mx.random.normal(v.shape)
                   for k, v in tree_flatten(model.trainable_parameters())}
        model.load_weights(list(weights.items()), strict=False)
        model.eval()
        theirs = torch.from_numpy(np.array(model(mx.array([IDS]))[0].astype(mx.float32)))
        mlx, peft = work / f"mlx-{method}", work / f"mlx-peft-{method}"
        mlx.mkdir(exist_ok=True)
        mx.save_safetensors(str(mlx / "adapters.safetensors"), weights)
        save_config({"fine_tune_type": method, "model": str(base), "num_layers": 2, "lora_parameters": lora}, mlx / "adapter_config.json")
        difference = relative(our_logits(work, base, "--adapter", mlx), theirs)
        run(SLLM, "import", mlx, peft, "-q")
        loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), peft)
        with torch.no_grad():
            in_peft = relative(loaded(torch.tensor([IDS])).logits[0], theirs)
        plain = relative(our_logits(work, base), theirs)
        good &= report(difference <= 1e-5 and in_peft <= 1e-5 and plain > 1e-2,
                       f"{kind}, mlx-lm's {method}: logits differ by {difference:.1e} of their range (without it {plain:.1e}); imported, in PEFT by {in_peft:.1e}")
        shutil.rmtree(peft)
    return good


def several_files(base, work):
    import gguf
    import torch
    from safetensors import safe_open
    from transformers import AutoModelForCausalLM
    run(SLLM, "import", base, work / "whole.gguf", "--type", "f32", "-q")
    run(SLLM, "import", work / "whole.gguf", work / "part.gguf", "--split-max-size", "300K", "-q")
    parts = sorted(work.glob("part-*-of-*.gguf"))
    together = {}
    for p in parts:
        together.update(gguf_tensors(p))
    keys = [{k: int(gguf.GGUFReader(p).fields[k].parts[-1][0]) for k in ("split.no", "split.count", "split.tensors.count")} for p in parts]
    wanted = [{"split.no": i, "split.count": len(parts), "split.tensors.count": len(together)} for i in range(len(parts))]
    good = report(together == gguf_tensors(work / "whole.gguf") and keys == wanted and len(parts) > 1,
                  f"split: {len(parts)} parts hold the {len(together)} tensors of the whole, as gguf-py reads them")
    # gguf-py's own splitting of the same tensors, read here.
    reader = gguf.GGUFReader(work / "whole.gguf")
    writer = gguf.GGUFWriter(work / "py.gguf", "llama", split_max_tensors=7)
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        value, kind = field.contents(), field.types[0]
        writer.add_key_value(field.name, value, kind, field.types[1] if len(field.types) > 1 else None)
    for t in reader.tensors:
        writer.add_tensor(t.name, t.data, raw_dtype=t.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    theirs = sorted(work.glob("py-*-of-*.gguf"))
    whole = our_logits(work, work / "whole.gguf")
    same = all(torch.equal(our_logits(work, p), whole) for p in (theirs[0], theirs[-1], parts[0], parts[-1]))
    good &= report(same, f"split: gguf-py's {len(theirs)} parts and ours, opened by the first and the last, give the whole's logits")
    tool = LLAMA / "llama-gguf-split"
    if tool.exists():
        # Where the first tensor is larger than a part, gguf-split gives up; whole megabytes are all it takes.
        limit = f"{max(int(t.n_bytes) for t in gguf.GGUFReader(work / 'whole.gguf').tensors) // 10**6 + 1}M"
        run(tool, "--split", "--split-max-size", limit, work / "whole.gguf", work / "gs")
        run(SLLM, "import", work / "whole.gguf", work / "os.gguf", "--split-max-size", limit, "-q")
        cut = [[sorted(gguf_tensors(p)) for p in sorted(work.glob(f"{n}-*-of-*.gguf"))] for n in ("gs", "os")]
        run(tool, "--merge", work / f"os-00001-of-{len(cut[1]):05d}.gguf", work / "joined.gguf")
        good &= report(cut[0] == cut[1] and gguf_tensors(work / "joined.gguf") == gguf_tensors(work / "whole.gguf"),
                       f"split: gguf-split cuts at the same {len(cut[0])} places and joins ours")
    # Shards of a Hugging Face folder, both ways.
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model.save_pretrained(work / "theirs", max_shard_size="300KB")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (work / "theirs" / name).write_bytes((base / name).read_bytes())
    run(SLLM, "import", base, work / "shards", "--split-max-size", "300K", "-q")
    ours = AutoModelForCausalLM.from_pretrained(work / "shards", dtype=torch.float32).state_dict()
    same = all(torch.equal(v, ours[k]) for k, v in model.state_dict().items())
    same &= torch.equal(our_logits(work, work / "theirs"), our_logits(work, base))
    count = [len(list((work / f).glob("model-*.safetensors"))) for f in ("shards", "theirs")]
    total = [json.loads((work / f / "model.safetensors.index.json").read_text())["metadata"]["total_size"] for f in ("shards", "theirs")]
    return report(same and min(count) > 1 and total[0] == total[1],
                  f"shards: transformers loads our {count[0]} and we its {count[1]}, the same bits; total_size {total[0]} and {total[1]}") and good


def main():
    if not SLLM or not (MODELS / FILE).exists():
        print(f"SKIP adapters: SLLM_BIN or {FILE} in SLLM_MODELS is missing")
        return 0
    try:
        import gguf, peft, torch, transformers  # noqa: F401
    except ImportError as e:
        print(f"SKIP adapters: {e}")
        return 0
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory(prefix="sllm-adapters-") as work:
        work = Path(work)
        run(SLLM, "import", MODELS / FILE, work / "tokenizer", "-q")
        bases = {kind: make_base(kind, work, work / "tokenizer") for kind in ("llama", "qwen2")}
        good = True
        for kind, base in bases.items():
            good &= beside_peft(kind, base, work)
        try:
            import mlx_lm  # noqa: F401
            for kind, base in bases.items():
                good &= beside_mlx(kind, base, work)
        except ImportError as e:
            print(f"SKIP adapters: {e}")
        good &= several_files(bases["llama"], work)
        if (SOURCES / "convert_lora_to_gguf.py").exists():
            for kind, base in bases.items():
                good &= beside_converter(kind, base, work)
        else:
            print("SKIP adapters: llama.cpp's sources (LLAMA_SOURCES) are not at hand for its converter")
        if LOGITS.exists():
            for kind, base in bases.items():
                good &= beside_llama_cpp(kind, base, work)
        else:
            print("SKIP adapters: llama_logits is not at hand")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
