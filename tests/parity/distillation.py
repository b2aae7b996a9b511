"""Distillation beside TRL 1.16 in float32: 20 steps in which a tiny random llama learns from a larger one, with the same rows
(of rasbt_instruct), order, learning rates, clipping, weight decay 0.1 and initial A.

With the whole vocabulary kept the peer's loss is GKDTrainer.generalized_jsd_loss: forward (its beta 0), reverse (1) and
Jensen-Shannon (0.3), at the temperatures 1 and 2, alone and mixed with the labels' cross-entropy. With 16 tokens kept it is
the formula of src/ops/distillation.h written in torch: the kept tokens' probabilities and the sum of all others as one more.
Both take the float32 logits in float64, as in tune.py: torch's float32 log-softmax alone is off by more than we are.

Tolerances: losses 5e-6 relative, final A and B 1e-3 relative in the norm of each tensor, as in tune.py.
PARITY_QUICK=1 takes 5 steps.
"""
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SLLM = os.environ.get("SLLM_BIN", "")
SHARED = Path(os.environ.get("SLLM_SHARED", ""))
sys.path.pop(0)  # the files beside this one are not the libraries of the same name
QUICK = os.environ.get("PARITY_QUICK", "0") != "0"
STEPS, BATCH, LR, CLIP, DECAY, WARMUP, LONGEST = 5 if QUICK else 20, 4, 2e-4, 1.0, 0.1, 2, 96
END = "</s>"
# divergence, temperature, mixture, teacher's share, tokens kept (0: all)
CASES = [("forward", 1.0, 0.5, 1.0, 0), ("reverse", 2.0, 0.5, 1.0, 0), ("jsd", 1.0, 0.3, 1.0, 0), ("jsd", 2.0, 0.7, 0.5, 0),
         ("forward", 1.0, 0.5, 0.5, 16), ("reverse", 1.0, 0.5, 1.0, 16), ("jsd", 2.0, 0.3, 0.7, 16)]

failed = False


def report(name, ok, figure):
    global failed
    failed |= not ok
    print(f"{'PASS' if ok else 'FAIL'} {name}: {figure}", flush=True)
    return ok


def skip(reason):
    print(f"SKIP {reason}")
    sys.exit(0)


def sllm(*arguments):
    done = subprocess.run([SLLM, *map(str, arguments), "--json", "-q"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"sllm {arguments[0]}: exit {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def largest(differences):
    """The largest number; NaN where one of them is (max() would pass over it) or there is none."""
    differences = list(differences)
    return max(differences) if differences and all(map(math.isfinite, differences)) else math.nan


def make_models(work, texts):
    """Student and teacher, random llamas of two sizes with one tokenizer of 1,000 tokens."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=1000, special_tokens=[END], show_progress=False,
                                                             initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    torch.manual_seed(0)
    for name, width, layers in (("student", 64, 2), ("teacher", 96, 3)):
        model = LlamaForCausalLM(LlamaConfig(hidden_size=width, num_hidden_layers=layers, num_attention_heads=4,
                                             num_key_value_heads=2, intermediate_size=2 * width,
                                             vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=512,
                                             initializer_range=0.1, tie_word_embeddings=False, bos_token_id=None, eos_token_id=0))
        model.float().save_pretrained(work / name)
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END).save_pretrained(work / name)
    return lambda text: tokenizer.encode(text).ids


def kept_divergence(student, teacher, divergence, temperature, mixture, k):
    """The sum over rows of the divergence over the teacher's k likeliest tokens and all others as one; logits [N, V]."""
    import torch
    q, p = ((logits / temperature).softmax(-1) for logits in (student, teacher))
    top = p.topk(k, -1).indices
    mask = torch.zeros_like(p, dtype=torch.bool).scatter(-1, top, True)
    p, q = (torch.cat([x.gather(-1, top), x.masked_fill(mask, 0).sum(-1, keepdim=True)], -1) for x in (p, q))
    if divergence == "forward":
        return (p * (p / q).log()).sum()
    if divergence == "reverse":
        return (q * (q / p).log()).sum()
    m = mixture * p + (1 - mixture) * q
    return mixture * (p * (p / m).log()).sum() + (1 - mixture) * (q * (q / m).log()).sum()


def their_run(model, teacher, rows, divergence, temperature, mixture, share, k):
    import torch
    from trl.experimental.gkd import GKDTrainer
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LR, weight_decay=DECAY)
    losses = []
    for step in range(STEPS):
        batch = [rows[(step * BATCH + i) % len(rows)] for i in range(BATCH)]
        count = sum(sum(label >= 0 for label in row["labels"][1:]) for row in batch)
        total = 0.0
        for row in batch:
            ids, labels = torch.tensor([row["input_ids"]]), torch.tensor(row["labels"][1:])
            student = model(input_ids=ids).logits[:, :-1].double()
            with torch.no_grad():
                taught = teacher(input_ids=ids).logits[:, :-1].double()
            if k:
                learned = labels >= 0
                part = kept_divergence(student[0, learned], taught[0, learned], divergence, temperature, mixture, k)
            else:
                beta = {"forward": 0, "reverse": 1}.get(divergence, mixture)
                part = GKDTrainer.generalized_jsd_loss(student, taught, labels=labels[None], beta=beta,
                                                       temperature=temperature, reduction="sum")
            loss = share * part / count
            if share < 1:
                loss = loss + (1 - share) * torch.nn.functional.cross_entropy(student[0], labels, reduction="sum") / count
            loss.backward()
            total += loss.item()
        factor = step / WARMUP if step < WARMUP else 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP)))
        for group in optimizer.param_groups:
            group["lr"] = LR * factor
        torch.nn.utils.clip_grad_norm_(trained, CLIP)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total)
    return losses


def compare(work, rows, divergence, temperature, mixture, share, k):
    import torch
    from peft import LoraConfig, get_peft_model
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM
    load = lambda name: AutoModelForCausalLM.from_pretrained(work / name, dtype=torch.float32, attn_implementation="eager")
    model = get_peft_model(load("student"), LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear",
                                                       task_type="CAUSAL_LM"))
    label = f"{divergence}, temperature {temperature}, share {share}, {k or 'all'} tokens"
    with tempfile.TemporaryDirectory() as run:
        run = Path(run)
        (run / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        model.save_pretrained(run / "init")
        theirs = their_run(model, load("teacher").eval(), rows, divergence, temperature, mixture, share, k)
        model.save_pretrained(run / "theirs")
        mixed = ("--mixture", mixture) if divergence == "jsd" else ()
        result = sllm("tune", "-m", work / "student", "--teacher", work / "teacher", "--data", run / "rows.jsonl", "--out",
                      run / "run", "--init-adapter", run / "init", "--divergence", divergence, "--temperature", temperature,
                      *mixed, "--teacher-share", share, "--top-k", k, "--steps", STEPS, "--batch", BATCH, "--lr", LR,
                      "--clip", CLIP, "--weight-decay", DECAY, "--warmup", WARMUP, "--no-shuffle", "--mode", "exact",
                      "--save-every", 1000)
        worst = largest(abs(a - b) / abs(b) for a, b in zip(result["loss"], theirs))
        report(f"distillation losses, {label}", len(result["loss"]) == len(theirs) == STEPS and worst <= 5e-6,
               f"max relative difference {worst:.1e} ({theirs[0]:.4f} to {theirs[-1]:.4f})")
        ours = load_file(Path(result["adapter"]) / "adapter_model.safetensors")
        peft, first = (load_file(run / side / "adapter_model.safetensors") for side in ("theirs", "init"))
        if report(f"distillation adapter, {label}", ours.keys() == peft.keys() == first.keys(), f"{len(ours)} tensors"):
            worst = largest(float((ours[key] - peft[key]).norm() / peft[key].norm()) for key in peft)
            moved = largest(float((peft[key] - first[key]).abs().max()) for key in peft)
            report(f"distillation final A and B, {label}", worst <= 1e-3 and moved > LR,
                   f"max relative difference {worst:.1e} (training moved them by up to {moved:.1e})")


def main():
    if not SLLM or not Path(SLLM).exists():
        skip("distillation: SLLM_BIN names no program")
    data = SHARED / "data/rasbt_instruct/instruction-data.json"
    if not data.exists():
        skip("distillation: SLLM_SHARED names no folder with data")
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    try:
        import torch
        import trl
    except ImportError as error:
        skip(f"distillation: {error}")
    print(f"trl {trl.__version__}")
    torch.set_num_threads(2)
    examples = json.loads(data.read_text())
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        encode = make_models(work, [text for e in examples for text in e.values()])
        rows = []
        for e in examples:
            prompt, answer = encode(f"{e['instruction']} {e['input']}\n\n"), encode(e["output"]) + [0]
            if len(prompt) + len(answer) <= LONGEST:
                rows.append({"input_ids": prompt + answer, "labels": [-100] * len(prompt) + answer})
        for case in CASES:
            compare(work, list(itertools.islice(rows, STEPS * BATCH)), *case)
    if QUICK:
        print("SKIP distillation: 15 of the 20 steps (PARITY_QUICK)")
    sys.exit(failed)


main()
