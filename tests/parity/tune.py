"""Tuning beside PEFT and torch in float32: the same rows, order, learning rates, clipping, weight decay 0.1 and first
weights on both sides. LoRA of rank 16 on all linears of SmolLM2-135M, 20 steps, then each side's adapter in the other
program; DoRA, LoRA+ and full tuning (torch's AdamW over model.parameters()) for 50 steps of a tiny llama and 5 of
SmolLM2-135M, then what each side made of DoRA and of all weights as one model.

Tolerances: losses 5e-6 relative; forgetting weight decay moves one by 1.8e-6, another order of sums by 2.4e-7. The peer's
cross-entropy is taken in float64 from its float32 logits, because torch's float32 log-softmax over 49,152 logits is by
itself 3e-6 away from float64 (2.4841180 against 2.4841260 for the first step here; ours is 2.4841259).
Final tensors: 1e-3 relative in the norm of each tensor. (AdamW's first steps move every number by about the learning
rate whatever its gradient's size, so a number whose gradient is rounding noise may go either way on either side.)
Logits: 5e-4, as in logits.py. Merged weights: 1e-6, as in adapters.py.
PARITY_QUICK=1 takes 5 steps of LoRA and leaves full tuning of SmolLM2 out.
"""
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

SLLM = os.environ.get("SLLM_BIN", "")
MODELS = Path(os.environ.get("SLLM_MODELS", ""))
SHARED = Path(os.environ.get("SLLM_SHARED", ""))
ROWS = Path(__file__).parents[2] / "examples/device-control/test.jsonl"
FOLDER, GGUF = "hf-smollm2", "smollm2-135m-instruct.Q4_1.gguf"
sys.path.pop(0)  # the files beside this one are not the libraries of the same name
QUICK = os.environ.get("PARITY_QUICK", "0") != "0"
BATCH, CLIP, DECAY, WARMUP = 4, 1.0, 0.1, 2

failed = False


@dataclass
class Recipe:
    steps: int
    lr: float = 2e-4
    plus: float = 1.0  # LoRA+'s ratio


def report(name, ok, figure):
    global failed
    failed |= not ok
    print(f"{'PASS' if ok else 'FAIL'} {name}: {figure}", flush=True)
    return ok


def skip(reason):
    print(f"SKIP {reason}")
    sys.exit(0)


def folder():
    path = MODELS / FOLDER
    if not path.exists():
        script = SHARED / "tools/gguf_to_hf.py"
        if not script.exists() or not (MODELS / GGUF).exists():
            skip(f"tune: needs {path} or {GGUF} with gguf_to_hf.py")
        subprocess.run([sys.executable, script, MODELS, GGUF, path], check=True, stdout=subprocess.DEVNULL)
    return path


def sllm(*arguments):
    done = subprocess.run([SLLM, *map(str, arguments), "--json", "-q"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"sllm {arguments[0]}: exit {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def largest(differences):
    """The largest number; NaN where one of them is (max() would pass over it) or there is none."""
    differences = list(differences)
    return max(differences) if differences and all(map(math.isfinite, differences)) else math.nan


def encode(tokenizer, messages):
    """Token ids, and labels for the assistant's tokens."""
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    prompt = tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
    end = text.index(messages[-1]["content"], len(prompt)) + len(messages[-1]["content"])
    ids = [tokenizer(part, add_special_tokens=False)["input_ids"] for part in (prompt, text[len(prompt):end], text[end:])]
    labels = [-100] * len(ids[0]) + ids[1] + [ids[2][0]] + [-100] * (len(ids[2]) - 1)
    return {"input_ids": sum(ids, []), "labels": labels}


def factor(step, steps):
    if step < WARMUP:
        return step / WARMUP
    return 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (steps - WARMUP)))


def torch_run(model, rows, recipe):
    """The losses of AdamW on whatever of the model is trained."""
    import torch
    from peft.optimizers import create_loraplus_optimizer
    trained = [p for p in model.parameters() if p.requires_grad]
    if recipe.plus != 1:
        optimizer = create_loraplus_optimizer(model, torch.optim.AdamW, lr=recipe.lr, loraplus_lr_ratio=recipe.plus,
                                              loraplus_weight_decay=DECAY)
    else:
        optimizer = torch.optim.AdamW(trained, lr=recipe.lr, weight_decay=DECAY)
    peaks = [group["lr"] for group in optimizer.param_groups]
    losses = []
    for step in range(recipe.steps):
        batch = [rows[(step * BATCH + i) % len(rows)] for i in range(BATCH)]
        count = sum(sum(label >= 0 for label in row["labels"][1:]) for row in batch)
        total = 0.0
        for row in batch:
            logits = model(input_ids=torch.tensor([row["input_ids"]])).logits[0, :-1].double()
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor(row["labels"][1:]), reduction="sum") / count
            loss.backward()
            total += loss.item()
        for group, peak in zip(optimizer.param_groups, peaks):
            group["lr"] = peak * factor(step, recipe.steps)
        torch.nn.utils.clip_grad_norm_(trained, CLIP)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total)
    return losses


def sllm_run(path, rows, out, recipe, *flags):
    out.mkdir(parents=True)
    (out / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return sllm("tune", "-m", path, "--data", out / "rows.jsonl", "--out", out / "run", "--steps", recipe.steps, "--batch", BATCH,
                "--lr", recipe.lr, "--lora-plus", recipe.plus, "--clip", CLIP, "--weight-decay", DECAY, "--warmup", WARMUP,
                "--no-shuffle", "--mode", "exact", "--save-every", 1000, *flags)


def compare_losses(name, recipe, result, theirs):
    worst = largest(abs(a - b) / abs(b) for a, b in zip(result["loss"], theirs))
    report(f"tune {name} losses, {recipe.steps} steps", len(result["loss"]) == len(theirs) == recipe.steps and worst <= 5e-6,
           f"max relative difference {worst:.1e}")


def compare_tensors(name, ours, theirs, first, moves):
    """`moves`: by how much training must have moved the tensors, that the comparison says something."""
    if not report(f"tune {name} tensors", ours.keys() == theirs.keys() == first.keys(), f"{len(ours)}"):
        sys.exit(1)
    worst = largest(float((ours[k] - theirs[k]).norm() / theirs[k].norm()) for k in theirs)
    moved = largest(float((theirs[k] - first[k]).abs().max()) for k in theirs)
    path = largest(float((ours[k] - theirs[k]).norm() / (theirs[k] - first[k]).norm()) for k in theirs)
    report(f"tune {name} final tensors", worst <= 1e-3 and moved > moves,
           f"max relative difference {worst:.1e}; training moved them by up to {moved:.1e}, of whose way they miss {path:.1e}")


def make_tiny(work, tokenizer):
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig
    torch.manual_seed(7)
    model = AutoModelForCausalLM.from_config(LlamaConfig(
        vocab_size=49152, hidden_size=64, intermediate_size=192, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=2048, bos_token_id=1, eos_token_id=2, initializer_range=0.1, tie_word_embeddings=True), dtype=torch.float32)
    model.save_pretrained(work / "tiny")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / name, work / "tiny")
    return work / "tiny"


def load(path):
    import torch
    from transformers import AutoModelForCausalLM
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager")


def adapted(path, **fields):
    import torch
    from peft import LoraConfig, get_peft_model
    torch.manual_seed(0)
    return get_peft_model(load(path), LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear",
                                                 task_type="CAUSAL_LM", **fields))


def adapter_tensors(path):
    from safetensors.torch import load_file
    return load_file(Path(path) / "adapter_model.safetensors")


def beside_peft(name, path, rows, work, recipe, *flags, **fields):
    """One adapter, trained on both sides from the same A; their folders."""
    work = work / name.replace(" ", "-")
    model = adapted(path, **fields)
    model.save_pretrained(work / "init")
    theirs = torch_run(model, rows, recipe)
    model.save_pretrained(work / "theirs")
    result = sllm_run(path, rows, work / "ours", recipe, "--init-adapter", work / "init", *flags)
    compare_losses(name, recipe, result, theirs)
    compare_tensors(name, *map(adapter_tensors, (result["adapter"], work / "theirs", work / "init")), moves=recipe.lr)
    return model, Path(result["adapter"]), work / "theirs"


def each_others(path, ids, model, ours, theirs):
    import torch
    from peft import PeftModel
    text = ",".join(map(str, ids))
    with torch.no_grad():
        in_peft = PeftModel.from_pretrained(load(path), ours)(input_ids=torch.tensor([ids])).logits[0, -1]
        theirs_in_peft = model(input_ids=torch.tensor([ids])).logits[0, -1]
    in_ours = torch.tensor(sllm("logits", "-m", path, "--ids", text, "--adapter", ours)["logits"])
    theirs_in_ours = torch.tensor(sllm("logits", "-m", path, "--ids", text, "--adapter", theirs)["logits"])
    for name, a, b in (("our adapter in PEFT", in_peft, in_ours), ("PEFT's adapter in ours", theirs_in_peft, theirs_in_ours)):
        difference = float((a - b).abs().max())  # NaN where one is
        report(f"tune {name}", a.shape == b.shape and difference <= 5e-4, f"max logit difference {difference:.1e}")


def merged_alike(name, path, model, adapter, work):
    """Our merge of PEFT's adapter beside its own."""
    sllm("merge", path, adapter, work / "merged", "--type", "f32")
    ours = load(work / "merged").state_dict()
    theirs = model.merge_and_unload().state_dict()
    worst = largest(float((ours[k] - theirs[k]).abs().max()) for k in theirs)
    report(f"tune {name} merged", ours.keys() == theirs.keys() and worst <= 1e-6, f"max difference of a weight {worst:.1e}")
    shutil.rmtree(work / "merged")


def beside_torch(name, path, rows, work, recipe):
    """Full tuning of a folder in float32; then our model as GGUF: the same logits."""
    import torch
    from safetensors.torch import load_file
    work = work / name.replace(" ", "-")
    model = load(path)
    first = {k: v.clone() for k, v in model.named_parameters()}
    theirs = torch_run(model, rows, recipe)
    theirs_last = {k: v.detach() for k, v in model.named_parameters()}
    result = sllm_run(path, rows, work, recipe, "--full")
    compare_losses(name, recipe, result, theirs)
    ours = load_file(Path(result["model"]) / "model.safetensors")
    compare_tensors(name, ours, theirs_last, first, moves=recipe.lr)
    text = ",".join(map(str, rows[0]["input_ids"]))
    sllm("merge", path, work / "run", work / "run.gguf")
    of = lambda file: torch.tensor(sllm("logits", "-m", file, "--ids", text, "--mode", "exact")["logits"])
    with torch.no_grad():
        in_torch = load(result["model"])(input_ids=torch.tensor([rows[0]["input_ids"]])).logits[0, -1]
    difference = float((in_torch - of(work / "run")).abs().max())
    same = torch.equal(of(work / "run"), of(work / "run.gguf"))
    report(f"tune {name} model", same and difference <= 5e-4,
           f"as GGUF {'the same logits' if same else 'OTHER LOGITS'}; in transformers within {difference:.1e}")


def main():
    if not SLLM or not Path(SLLM).exists():
        skip("tune: SLLM_BIN names no program")
    try:
        import torch
        from peft import PeftModel  # noqa: F401
        from transformers import AutoTokenizer
    except ImportError as error:
        skip(f"tune: {error}")
    path = folder()
    torch.set_num_threads(2)
    tokenizer = AutoTokenizer.from_pretrained(path)
    rows = [encode(tokenizer, json.loads(line)["messages"]) for line in ROWS.read_text().splitlines()[: 20 * BATCH]]
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        lora = beside_peft("LoRA", path, rows, work, Recipe(5 if QUICK else 20))
        each_others(path, rows[0]["input_ids"], *lora)
        del lora
        tiny = make_tiny(work, path)
        for name, base, steps in (("tiny", tiny, 50), ("SmolLM2", path, 5)):
            model, ours, theirs = beside_peft(f"DoRA {name}", base, rows, work, Recipe(steps), "--dora", use_dora=True)
            each_others(base, rows[0]["input_ids"], model, ours, theirs)
            merged_alike(f"DoRA {name}", base, model, theirs, work)
        beside_peft("LoRA+ tiny", tiny, rows, work, Recipe(50, plus=4))
        beside_torch("full tiny", tiny, rows, work, Recipe(50, lr=2e-5))
        if not QUICK:
            load(path).save_pretrained(work / "f32")
            for name in ("tokenizer.json", "tokenizer_config.json"):
                shutil.copy(path / name, work / "f32")
            beside_torch("full SmolLM2", work / "f32", rows, work, Recipe(5, lr=2e-5))
    if QUICK:
        print("SKIP tune: 15 of the 20 steps of LoRA, full tuning of SmolLM2 (PARITY_QUICK)")
    sys.exit(failed)


main()
