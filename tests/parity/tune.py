"""LoRA tuning beside PEFT in float32: 20 steps of rank 16 on all linears of SmolLM2-135M with the same rows, order,
learning rates, clipping, weight decay 0.1 and initial A; then each side's adapter in the other program.

Tolerances: losses 5e-6 relative; forgetting weight decay moves one by 1.8e-6, another order of sums by 2.4e-7. The peer's
cross-entropy is taken in float64 from its float32 logits, because torch's float32 log-softmax over 49,152 logits is by
itself 3e-6 away from float64 (2.4841180 against 2.4841260 for the first step here; ours is 2.4841259).
Final A and B: 1e-3 relative in the norm of each tensor. (AdamW's first steps move every number by about the learning
rate whatever its gradient's size, so a number whose gradient is rounding noise may go either way on either side.)
Logits: 5e-4, as in logits.py.
PARITY_QUICK=1 takes 5 steps.
"""
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SLLM = os.environ.get("SLLM_BIN", "")
MODELS = Path(os.environ.get("SLLM_MODELS", ""))
SHARED = Path(os.environ.get("SLLM_SHARED", ""))
ROWS = Path(__file__).parents[2] / "examples/device-control/test.jsonl"
FOLDER, GGUF = "hf-smollm2", "smollm2-135m-instruct.Q4_1.gguf"
sys.path.pop(0)  # the files beside this one are not the libraries of the same name
QUICK = os.environ.get("PARITY_QUICK", "0") != "0"
STEPS, BATCH, LR, CLIP, DECAY, WARMUP = 5 if QUICK else 20, 4, 2e-4, 1.0, 0.1, 2

failed = False


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


def factor(step):
    if step < WARMUP:
        return step / WARMUP
    return 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP)))


def peft_run(model, rows):
    import torch
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LR, weight_decay=DECAY)
    losses = []
    for step in range(STEPS):
        batch = [rows[(step * BATCH + i) % len(rows)] for i in range(BATCH)]
        count = sum(sum(label >= 0 for label in row["labels"][1:]) for row in batch)
        total = 0.0
        for row in batch:
            logits = model(input_ids=torch.tensor([row["input_ids"]])).logits[0, :-1].double()
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor(row["labels"][1:]), reduction="sum") / count
            loss.backward()
            total += loss.item()
        for group in optimizer.param_groups:
            group["lr"] = LR * factor(step)
        torch.nn.utils.clip_grad_norm_(trained, CLIP)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total)
    return losses


def main():
    if not SLLM or not Path(SLLM).exists():
        skip("tune: SLLM_BIN names no program")
    try:
        import torch
        from peft import LoraConfig, PeftModel, get_peft_model
        from safetensors.torch import load_file
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        skip(f"tune: {error}")
    path = folder()
    torch.manual_seed(0)
    torch.set_num_threads(2)
    base = lambda: AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager")
    tokenizer = AutoTokenizer.from_pretrained(path)
    rows = [encode(tokenizer, json.loads(line)["messages"]) for line in ROWS.read_text().splitlines()[: STEPS * BATCH]]
    model = get_peft_model(base(), LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear",
                                              task_type="CAUSAL_LM"))
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        (work / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        model.save_pretrained(work / "init")
        theirs = peft_run(model, rows)
        model.save_pretrained(work / "theirs")
        result = sllm("tune", "-m", path, "--data", work / "rows.jsonl", "--out", work / "run", "--init-adapter", work / "init",
                      "--steps", STEPS, "--batch", BATCH, "--lr", LR, "--clip", CLIP, "--weight-decay", DECAY,
                      "--warmup", WARMUP, "--no-shuffle", "--mode", "exact", "--save-every", 1000)
        worst = largest(abs(a - b) / abs(b) for a, b in zip(result["loss"], theirs))
        report(f"tune losses, {STEPS} steps", len(result["loss"]) == len(theirs) == STEPS and worst <= 5e-6, f"max relative difference {worst:.1e}")

        ours = load_file(Path(result["adapter"]) / "adapter_model.safetensors")
        peft = load_file(work / "theirs" / "adapter_model.safetensors")
        first = load_file(work / "init" / "adapter_model.safetensors")
        if not report("tune adapter", ours.keys() == peft.keys() == first.keys(), f"{len(ours)} tensors"):
            sys.exit(1)
        worst = largest(float((ours[k] - peft[k]).norm() / peft[k].norm()) for k in peft)
        moved = largest(float((peft[k] - first[k]).abs().max()) for k in peft)
        report("tune final A and B", worst <= 1e-3 and moved > LR,
               f"max relative difference {worst:.1e} (training moved them by up to {moved:.1e})")

        ids = rows[0]["input_ids"]
        text = ",".join(map(str, ids))
        with torch.no_grad():
            in_peft = PeftModel.from_pretrained(base(), result["adapter"])(input_ids=torch.tensor([ids])).logits[0, -1]
            theirs_in_peft = model(input_ids=torch.tensor([ids])).logits[0, -1]
        in_ours = torch.tensor(sllm("logits", "-m", path, "--ids", text, "--adapter", result["adapter"])["logits"])
        theirs_in_ours = torch.tensor(sllm("logits", "-m", path, "--ids", text, "--adapter", work / "theirs")["logits"])
        for name, a, b in (("our adapter in PEFT", in_peft, in_ours), ("PEFT's adapter in ours", theirs_in_peft, theirs_in_ours)):
            difference = float((a - b).abs().max())  # NaN where one is
            report(f"tune {name}", a.shape == b.shape and difference <= 5e-4, f"max logit difference {difference:.1e}")
    if QUICK:
        print("SKIP tune: 15 of the 20 steps (PARITY_QUICK)")
    sys.exit(failed)


main()
