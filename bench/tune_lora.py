#!/usr/bin/env python3
"""LoRA tuning beside transformers + PEFT in bf16: tokens/s and peak memory, the two taking turns.

Usage: bench/tune_lora.py --model FOLDER [--batch 2] [--length 512] [--steps 6] [--rounds 5] [--json]
FOLDER is a Hugging Face folder. Both sides do equal work: rank 16 on all linears, AdamW, the same rows of random token
ids, all of them learned, no padding. Memory is VmHWM. The ratio is the median of the rounds' ratios. Needs torch,
transformers and peft in the Python that runs this, and SLLM_BIN (default build/release/sllm).
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
SLLM = os.environ.get("SLLM_BIN", str(ROOT / "build/release/sllm"))


def peer(model_path, rows_path, batch, threads):
    """Runs in a process of its own and prints one JSON line."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.bfloat16, attn_implementation="sdpa")
    model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear",
                                             task_type="CAUSAL_LM"))
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-4)
    rows = [json.loads(line)["input_ids"] for line in open(rows_path)]
    seconds = []
    for first in range(0, len(rows), batch):
        ids = torch.tensor(rows[first:first + batch])
        start = time.perf_counter()
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - start)
    memory = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(json.dumps({"tok_s": len(rows[0]) * batch * (len(seconds) - 1) / sum(seconds[1:]),
                      "peak_rss_mb": int(memory.split()[1]) * 1024 / 1e6}))


def last_json(command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command[0]}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", required=True, type=Path)
    p.add_argument("--batch", type=int, default=2)
    p.add_argument("--length", type=int, default=512)
    p.add_argument("--steps", type=int, default=6)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--json", action="store_true")
    p.add_argument("--peer", type=Path, help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.peer:
        return peer(a.model, a.peer, a.batch, a.threads)
    vocabulary = json.loads((a.model / "config.json").read_text())["vocab_size"]
    numbers = random.Random(0)
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as work:
        rows = Path(work) / "rows.jsonl"
        rows.write_text("".join(json.dumps({"input_ids": [numbers.randrange(vocabulary) for _ in range(a.length)]}) + "\n"
                                for _ in range(a.batch * a.steps)))
        for i in range(a.rounds):
            ours.append(last_json([SLLM, "tune", "-m", a.model, "--data", rows, "--out", f"{work}/run-{i}", "--batch", a.batch,
                                   "--micro-tokens", a.batch * a.length, "--max-length", a.length, "--mode", "bf16",
                                   "--no-shuffle", "--threads", a.threads, "--save-every", 100000, "--json", "-q"]))
            theirs.append(last_json([sys.executable, __file__, "--model", a.model, "--batch", a.batch, "--threads", a.threads,
                                     "--peer", rows]))
            print(f"round {i + 1}: ours {ours[-1]['tok_s']:.0f} tok/s {ours[-1]['peak_rss_mb']:.0f} MB, "
                  f"PEFT {theirs[-1]['tok_s']:.0f} tok/s {theirs[-1]['peak_rss_mb']:.0f} MB", file=sys.stderr, flush=True)
    median = lambda side, key: statistics.median(r[key] for r in side)
    ratio = statistics.median(o["tok_s"] / t["tok_s"] for o, t in zip(ours, theirs))
    result = {"model": a.model.name, "batch": a.batch, "length": a.length, "rounds": a.rounds,
              "tok_s": median(ours, "tok_s"), "peer_tok_s": median(theirs, "tok_s"), "speed_ratio": ratio,
              "peak_rss_mb": median(ours, "peak_rss_mb"), "peer_peak_rss_mb": median(theirs, "peak_rss_mb"),
              "memory_ratio": median(ours, "peak_rss_mb") / median(theirs, "peak_rss_mb")}
    if a.json:
        print(json.dumps(result))
    else:
        print(f"{result['model']} {a.batch}x{a.length}: {result['tok_s']:.0f} tok/s beside PEFT's {result['peer_tok_s']:.0f} "
              f"({ratio:.2f}x), {result['peak_rss_mb']:.0f} MB beside {result['peer_peak_rss_mb']:.0f} "
              f"({result['memory_ratio']:.2f}x)")


main()
