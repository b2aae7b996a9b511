"""Preference tuning beside TRL 1.16 in float32: 50 steps of DPO (plain and with label smoothing), IPO, SimPO, ORPO and KTO
on a tiny random llama, with the same rows (of rasbt_instruct, hh_rlhf and llamafactory_demo), order, learning rates,
clipping, weight decay 0.1 and initial A. PREFERENCE_MODELS=all adds 5 steps on SmolLM2-135M.

The rows reach TRL's trainers as texts of token numbers, which a tokenizer of whole words turns into the ids that we are
given, so that their whole way (end token, KTO's mismatched pairs, collators) is taken.

Tolerances: losses 5e-6 relative, as in tune.py: forgetting weight decay moves one by more, another order of sums by less. Like
there the log-softmax of DPOTrainer and KTOTrainer is taken in float64 from their float32 logits: their kernel rounds each
token's log-probability to float32 (up to 4.8e-7 of 7), forty of which the loss is a sum of, and is 1.4e-5 away from float64.
Rewards 1e-4: beta times sums of some forty float32 log-probabilities. Final A and B: 1e-3 relative in the norm of each tensor
(AdamW's first steps move every number by about the learning rate whatever its gradient's size, so a number whose gradient
is rounding noise may go either way on either side).
PARITY_QUICK=1 takes 12 steps.
"""
import gzip
import itertools
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
FOLDER, GGUF = "hf-smollm2", "smollm2-135m-instruct.Q4_1.gguf"
sys.path.pop(0)  # the files beside this one are not the libraries of the same name
QUICK = os.environ.get("PARITY_QUICK", "0") != "0"
BATCH, LR, CLIP, DECAY, WARMUP = 4, 2e-4, 1.0, 0.1, 2
END = "</s>"
# our name and flags, TRL's trainer and settings
OBJECTIVES = {
    "dpo": ("dpo", {"beta": 0.1}, "DPO", {"loss_type": ["sigmoid"]}),
    "dpo, label smoothing": ("dpo", {"beta": 0.3, "label-smoothing": 0.1}, "DPO",
                             {"loss_type": ["robust"], "label_smoothing": 0.1}),
    "ipo": ("ipo", {"beta": 0.2}, "DPO", {"loss_type": ["ipo"]}),
    "simpo": ("simpo", {"beta": 2.0, "gamma": 1.0, "label-smoothing": 0.05}, "CPO",
              {"loss_type": "simpo", "simpo_gamma": 1.0, "cpo_alpha": 0.0, "label_smoothing": 0.05}),
    "orpo": ("orpo", {"beta": 0.1}, "ORPO", {}),
    "kto": ("kto", {"beta": 0.1, "desirable-weight": 1.0, "undesirable-weight": 1.2}, "KTO",
            {"desirable_weight": 1.0, "undesirable_weight": 1.2}),
}

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


def pairs():
    """(prompt, chosen, rejected), from three data sets in turn."""
    rasbt = json.loads((SHARED / "data/rasbt_instruct/instruction-data-with-preference.json").read_text())
    demo = json.loads((SHARED / "data/llamafactory_demo/dpo_en_demo.json").read_text())
    with gzip.open(SHARED / "data/hh_rlhf/test.jsonl.gz", "rt") as file:
        hh = [json.loads(line) for line in file]
    turn = lambda text: text.rpartition("\n\nAssistant:")
    sources = (
        [(f"User: {r['instruction']} {r['input']}\n\nAssistant:", " " + r["chosen"], " " + r["rejected"]) for r in rasbt],
        [("".join(turn(r["chosen"])[:2]), turn(r["chosen"])[2], turn(r["rejected"])[2])
         for r in hh if turn(r["chosen"])[0] == turn(r["rejected"])[0]],
        [("\n\n".join(m["value"] for m in r["conversations"]) + "\n\nAssistant:", " " + r["chosen"]["value"],
          " " + r["rejected"]["value"]) for r in demo],
    )
    return sources


def labels():
    """(prompt, answer, wanted)."""
    demo = json.loads((SHARED / "data/llamafactory_demo/kto_en_demo.json").read_text())
    # One label after the other: the file has all of one first.
    rows = [("\n\n".join(m["content"] for m in r["messages"][:-1]) + "\n\nAssistant:", " " + r["messages"][-1]["content"],
             r["label"]) for r in demo]
    return [row for pair in zip(*([r for r in rows if r[2] is wanted] for wanted in (True, False))) for row in pair]


def encoded(encode, end, count, longest, kto):
    """Rows of ids as we read them, so many of at most so many tokens."""
    def ids(prompt, *answers):
        row = [encode(prompt), *(encode(a) + [end] for a in answers)]
        return row if len(row[0]) + max(map(len, row[1:])) <= longest else None
    if kto:
        found = ((ids(p, a), wanted) for p, a, wanted in labels())
        rows = ({"prompt_ids": row[0], "completion_ids": row[1], "label": wanted} for row, wanted in found if row)
    else:
        short = [[row for p, c, r in source if (row := ids(p, c, r))] for source in pairs()]
        mixed = (row for rows in itertools.zip_longest(*short) for row in rows if row)
        rows = ({"prompt_ids": p, "chosen_ids": c, "rejected_ids": r} for p, c, r in mixed)
    rows = list(itertools.islice(rows, count))
    assert len(rows) == count, f"{len(rows)} rows of at most {longest} tokens"
    return rows


def number_tokenizer(vocabulary, end):
    """Token i is written as the number i, the end token as END."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast
    words = {END if i == end else str(i): i for i in range(vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END)


def as_text(row, end):
    text = lambda ids: " ".join(END if i == end else str(i) for i in ids)
    names = {"prompt_ids": "prompt", "completion_ids": "completion", "chosen_ids": "chosen", "rejected_ids": "rejected"}
    return {names.get(key, key): text(value) + (" " if key == "prompt_ids" else "") if isinstance(value, list) else value
            for key, value in row.items()}


def take_log_softmax_in_float64():
    """In DPOTrainer's and KTOTrainer's head, from its float32 logits."""
    import trl.trainer.utils

    class LogProbs:
        @staticmethod
        def apply(hidden, weight, bias, labels, temperature, chunk, softcap, scale, outputs):
            assert bias is None and temperature == 1 and softcap is None and scale == 1
            logits = (hidden @ weight.T).double()
            logs = logits.log_softmax(-1)
            of = {"log_probs": logs.gather(-1, labels[:, None])[:, 0], "entropy": -(logs.exp() * logs).sum(-1),
                  "log_sum_sq_probs": (2 * logs).logsumexp(-1), "mean_logits": logits.mean(-1),
                  "is_top1": logits.argmax(-1) == labels}
            return tuple(value if name in outputs else None for name, value in of.items())
    trl.trainer.utils._ChunkedLogProbFunction = LogProbs


def make_trainer(kind, settings, path, rows, tokenizer, end, work):
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM
    import trl
    from trl.experimental.cpo import CPOConfig, CPOTrainer
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer
    config, trainer = {"DPO": (trl.DPOConfig, trl.DPOTrainer), "KTO": (trl.KTOConfig, trl.KTOTrainer),
                       "CPO": (CPOConfig, CPOTrainer), "ORPO": (ORPOConfig, ORPOTrainer)}[kind]
    args = config(output_dir=str(work), per_device_train_batch_size=BATCH, train_sampling_strategy="sequential", bf16=False,
                  gradient_checkpointing=False, use_cpu=True, report_to=[], max_length=4096, **settings)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager")
    return trainer(model=model, args=args, train_dataset=Dataset.from_list([as_text(row, end) for row in rows]),
                   processing_class=tokenizer,
                   peft_config=LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear",
                                          task_type="CAUSAL_LM"))


def their_run(trainer, steps):
    """Losses and rewards of each step."""
    import torch
    model = trainer.model
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LR, weight_decay=DECAY)
    losses, rewards = [], []
    batches = itertools.chain.from_iterable(iter(trainer.get_train_dataloader()) for _ in itertools.count())
    for step in range(steps):
        loss = trainer.compute_loss(model, next(batches))
        loss.backward()
        factor = step / WARMUP if step < WARMUP else 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (steps - WARMUP)))
        for group in optimizer.param_groups:
            group["lr"] = LR * factor
        torch.nn.utils.clip_grad_norm_(trained, CLIP)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        kept = trainer._metrics if hasattr(trainer, "_metrics") else trainer._stored_metrics
        rewards.append({side: kept["train"].pop(f"rewards/{side}", [None])[-1] for side in ("chosen", "rejected")})
    return losses, rewards


def compare(label, objective, path, encode, end, vocabulary, steps, count, longest):
    from safetensors.torch import load_file
    name, flags, kind, settings = OBJECTIVES[objective]
    rows = encoded(encode, end, count, longest, name == "kto")
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        (work / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        trainer = make_trainer(kind, {"beta": flags["beta"], **settings}, path, rows, number_tokenizer(vocabulary, end), end, work)
        trainer.model.save_pretrained(work / "init")
        theirs, their_rewards = their_run(trainer, steps)
        trainer.model.save_pretrained(work / "theirs")
        result = sllm("tune", "-m", path, "--data", work / "rows.jsonl", "--out", work / "run", "--init-adapter", work / "init",
                      "--objective", name, *itertools.chain.from_iterable((f"--{k}", v) for k, v in flags.items()),
                      "--steps", steps, "--batch", BATCH, "--lr", LR, "--clip", CLIP, "--weight-decay", DECAY,
                      "--warmup", WARMUP, "--no-shuffle", "--mode", "exact", "--save-every", 1000)
        label = f"{label} {objective}"
        worst = largest(abs(a - b) / abs(b) for a, b in zip(result["loss"], theirs))
        report(f"{label} losses, {steps} steps", len(result["loss"]) == len(theirs) == steps and worst <= 5e-6,
               f"max relative difference {worst:.1e} ({theirs[0]:.4f} to {theirs[-1]:.4f})")
        worst = largest(abs(a[side] - b[side]) for a, b in zip(result["rewards"], their_rewards) for side in b
                        if b[side] is not None)
        report(f"{label} rewards", worst <= 1e-4, f"max difference {worst:.1e}")
        ours = load_file(Path(result["adapter"]) / "adapter_model.safetensors")
        peft, first = (load_file(work / side / "adapter_model.safetensors") for side in ("theirs", "init"))
        if report(f"{label} adapter", ours.keys() == peft.keys() == first.keys(), f"{len(ours)} tensors"):
            worst = largest(float((ours[k] - peft[k]).norm() / peft[k].norm()) for k in peft)
            moved = largest(float((peft[k] - first[k]).abs().max()) for k in peft)
            report(f"{label} final A and B", worst <= 1e-3 and moved > LR,
                   f"max relative difference {worst:.1e} (training moved them by up to {moved:.1e})")


def tiny(work):
    """A random llama with a BPE of 1,000 tokens that is trained on the rows; its path, encoder, end token and vocabulary."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    texts = [text for source in pairs() for row in source[:200] for text in row]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=1000, special_tokens=[END], show_progress=False,
                                                             initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    vocabulary = tokenizer.get_vocab_size()
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                                         intermediate_size=128, vocab_size=vocabulary, max_position_embeddings=512,
                                         initializer_range=0.1, tie_word_embeddings=False, bos_token_id=None, eos_token_id=0))
    model.float().save_pretrained(work)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END).save_pretrained(work)
    return work, lambda text: tokenizer.encode(text).ids, 0, vocabulary


def smollm2():
    from transformers import AutoTokenizer
    path = MODELS / FOLDER
    if not path.exists():
        script = SHARED / "tools/gguf_to_hf.py"
        if not script.exists() or not (MODELS / GGUF).exists():
            return None
        subprocess.run([sys.executable, script, MODELS, GGUF, path], check=True, stdout=subprocess.DEVNULL)
    tokenizer = AutoTokenizer.from_pretrained(path)
    encode = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]
    return path, encode, tokenizer.eos_token_id, json.loads((path / "config.json").read_text())["vocab_size"]


def main():
    if not SLLM or not Path(SLLM).exists():
        skip("preference: SLLM_BIN names no program")
    if not (SHARED / "data/hh_rlhf").exists():
        skip("preference: SLLM_SHARED names no folder with data")
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    try:
        import torch
        import trl
    except ImportError as error:
        skip(f"preference: {error}")
    print(f"trl {trl.__version__}")
    torch.set_num_threads(2)
    take_log_softmax_in_float64()
    only = sys.argv[1:]
    with tempfile.TemporaryDirectory() as work:
        model = tiny(Path(work))
        for objective in only or OBJECTIVES:
            # 42 rows: the last step of each epoch has two.
            compare("tiny", objective, *model, 12 if QUICK else 50, 42, 320 if objective == "kto" else 128)
    if os.environ.get("PREFERENCE_MODELS") == "all":
        if model := smollm2():
            for objective in only or OBJECTIVES:
                compare("SmolLM2-135M", objective, *model, 5, 20, 64)
        else:
            print(f"SKIP preference: needs {MODELS / FOLDER} or {GGUF} with gguf_to_hf.py")
    else:
        print("SKIP preference: SmolLM2-135M (PREFERENCE_MODELS=all)")
    if QUICK:
        print("SKIP preference: 38 of the 50 steps (PARITY_QUICK)")
    sys.exit(failed)


main()
