"""Decode and prefill beside llama.cpp, interleaved: each round measures one, then the other, and the medians are compared.

usage: llama_cpp.py MODEL.gguf [--rounds 5] [--prompt 512] [--gen 128] [--threads 2] [--mode fast]
Reads SLLM_BIN (our program) and LLAMA_BIN (the folder of llama-bench). Exit 1 below the floors of 0.6 (decode) and 0.5 (prefill).
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

parser = argparse.ArgumentParser()
parser.add_argument("model")
for name, default in {"rounds": 5, "prompt": 512, "gen": 128, "threads": 2}.items():
    parser.add_argument(f"--{name}", type=int, default=default)
parser.add_argument("--mode", default="fast")
parser.add_argument("--floor-decode", type=float, default=0.6)
parser.add_argument("--floor-prefill", type=float, default=0.5)
args = parser.parse_args()
sllm = os.environ.get("SLLM_BIN", "build/release/sllm")
llama = os.path.join(os.environ.get("LLAMA_BIN", ""), "llama-bench")


def output(command):
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)


def ours():
    r = output([sllm, "bench", "-m", args.model, "--mode", args.mode, "--prompt", str(args.prompt), "--gen", str(args.gen),
                "--threads", str(args.threads), "--repeat", "1", "--json", "-q"])
    return r["prefill_tok_s"], r["decode_tok_s"]


def theirs():
    r = output([llama, "-m", args.model, "-p", str(args.prompt), "-n", str(args.gen), "-t", str(args.threads), "-r", "1", "-o", "json"])
    speed = {bool(x["n_gen"]): x["avg_ts"] for x in r}
    return speed[False], speed[True]


rounds = [(ours(), theirs()) for _ in range(args.rounds)]
good = True
for i, (what, floor) in enumerate([("prefill", args.floor_prefill), ("decode", args.floor_decode)]):
    a, b = (statistics.median(r[side][i] for r in rounds) for side in (0, 1))
    enough = a >= floor * b
    good &= enough
    print(f"{'PASS' if enough else 'FAIL'} {os.path.basename(args.model)} {what}: {a:.1f} tok/s ({args.mode}), llama.cpp {b:.1f}, "
          f"{a / b:.2f}x (at least {floor}x; rounds {', '.join(f'{r[0][i] / r[1][i]:.2f}' for r in rounds)})")
sys.exit(0 if good else 1)
