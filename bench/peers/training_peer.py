"""What the comparisons of training need of torch and transformers, each in a process of its own (programs.PYTHON):

    train          transformers' model trained on rows, with PEFT's LoRA or all of its weights; prints one JSON line
    chat-rows      question and answer pairs of a CSV file as rows, by a model's tokenizer and chat template
    text-rows      the text files of a folder as rows of equal length, by a model's tokenizer

A row is {"input_ids": [..], "labels": [..]}, labels unshifted and -100 where nothing is learned; without labels all of it is.
"""
import argparse
import csv
import json
import random
import time
from pathlib import Path

NOT_LEARNED = -100


def peak_memory_mb():
    said = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(said.split()[1]) * 1024 / 1e6


def batches(rows, size):
    """Tensors of `size` rows each, padded to the longest of them. Rows of one length need no mask, and without one sdpa takes
    its faster causal path."""
    import torch
    for begin in range(0, len(rows), size):
        here = rows[begin:begin + size]
        longest = max(len(r["input_ids"]) for r in here)

        def padded(values, filler):
            return torch.tensor([list(v) + [filler] * (longest - len(v)) for v in values])
        batch = {"input_ids": padded([r["input_ids"] for r in here], 0),
                 "labels": padded([r.get("labels", r["input_ids"]) for r in here], NOT_LEARNED)}
        if any(len(r["input_ids"]) < longest for r in here):
            batch["attention_mask"] = padded([[1] * len(r["input_ids"]) for r in here], 0)
        yield batch


def train(args):
    """bf16: weights, gradients and AdamW's moments are bf16, but those of PEFT's adapters F32, as PEFT makes them. f32: all of
    these are F32; autocast: so too, and matrix products round to bf16. AdamW is the fused one, torch's fastest on a CPU."""
    import torch
    from transformers import AutoModelForCausalLM
    torch.set_num_threads(args.threads)
    dtype = torch.bfloat16 if args.kind == "bf16" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=dtype, attn_implementation="sdpa")
    if args.method == "lora":
        from peft import LoraConfig, get_peft_model
        model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"))
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=args.lr, weight_decay=0.0, fused=True)
    seconds, losses = [], []
    for batch in batches([json.loads(line) for line in args.rows.read_text().splitlines()], args.batch):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=args.kind == "autocast"):
            loss = model(**batch, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": seconds, "loss": losses, "peak_rss_mb": peak_memory_mb(),
                      "trained_parameters": sum(p.numel() for p in trained)}))


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def chat_rows(args):
    """`count` pairs in random order. Learned is the answer with the token that ends it."""
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    with args.data.open(encoding="utf-8", newline="") as file:
        pairs = random.Random(0).sample(list(csv.DictReader(file)), args.count)

    def row(pair):
        messages = [{"role": "user", "content": pair["Q"]}, {"role": "assistant", "content": pair["A"]}]
        prompt = tokenizer.apply_chat_template(messages[:1], add_generation_prompt=True, tokenize=False)
        text = tokenizer.apply_chat_template(messages, tokenize=False)
        assert text.startswith(prompt), "the prompt rendered alone is not how the conversation begins"
        asked, answered = (tokenizer(part, add_special_tokens=False).input_ids for part in (prompt, text[len(prompt):].rstrip("\n")))
        return {"input_ids": asked + answered, "labels": [NOT_LEARNED] * len(asked) + answered}
    write_rows(args.out, map(row, pairs))


def text_rows(args):
    """`count` pieces of `length` tokens, in random order, from all of the texts in turn."""
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    ids = [i for path in sorted(args.data.glob("*.txt")) for i in tokenizer(path.read_text(encoding="utf-8", errors="replace")).input_ids]
    begins = random.Random(0).sample(range(0, len(ids) - args.length + 1, args.length), args.count)
    write_rows(args.out, ({"input_ids": ids[b:b + args.length]} for b in begins))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)

    def command(name, run):
        made = commands.add_parser(name)
        made.set_defaults(run=run)
        made.add_argument("--model", required=True, type=Path)
        return made
    training = command("train", train)
    training.add_argument("--rows", required=True, type=Path)
    training.add_argument("--batch", required=True, type=int)
    training.add_argument("--lr", required=True, type=float)
    training.add_argument("--threads", required=True, type=int)
    training.add_argument("--method", required=True, choices=["lora", "full"])
    training.add_argument("--kind", required=True, choices=["bf16", "f32", "autocast"])
    for name, run in (("chat-rows", chat_rows), ("text-rows", text_rows)):
        writing = command(name, run)
        writing.add_argument("--data", required=True, type=Path)
        writing.add_argument("--out", required=True, type=Path)
        writing.add_argument("--count", required=True, type=int)
        if run is text_rows:
            writing.add_argument("--length", required=True, type=int)
    args = parser.parse_args()
    args.run(args)


main()
