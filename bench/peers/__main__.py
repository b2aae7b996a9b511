"""sllm beside its peers, every case in turns (A B A B ...): one command, one table.

usage: python3 bench/peers [--turns 15] [--cases TEXT ...] [--list] [--json FILE] [--markdown FILE]

A case is measured if each TEXT stands in "name of the case, model". The ratio is the median of the turns' ratios, with its
95 % interval; a bar is met if the median reaches it. Beside it stand the share of the limit that the machine itself was
measured at in this run, memory, and quality. What cannot be measured is in the table with its reason. Exit 1 if a bar is
missed. Reads SLLM_BIN, LLAMA_BIN, SLLM_MODELS, SLLM_SHARED, PARITY_PYTHON (as tests/parity/setup.sh sets them up), BENCH_THREADS
and BENCH_WORK (for large files that are made once).
"""
import argparse
import dataclasses
import json
import sys
from pathlib import Path

import evaluation
import inference
import programs
import serving
import training
from turns import take_turns


def number(value):
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def bar(outcome):
    bars = [f"≥ {outcome.at_least}x"] if outcome.at_least is not None else []
    return ", ".join(bars + ([f"interval ≥ {outcome.low_at_least}x"] if outcome.low_at_least is not None else []))


def beside(b):
    bars = [f"≥ {number(b.at_least)}"] if b.at_least is not None else []
    bars += [f"≤ {number(b.at_most)}"] if b.at_most is not None else []
    return f"{b.what} {number(b.value)}" + (f" ({', '.join(bars)}{'' if b.met else ', missed'})" if bars else "")


def row(o):
    if o.why_not:
        return f"| {o.case} | {o.model} | | | not measured: {o.why_not} | | |"
    met = "" if o.met else " **missed**"
    return (f"| {o.case} | {o.model} | {number(o.ours)} {o.unit} | {o.peer}: {number(o.theirs)} | "
            f"{o.ratio:.2f}x ({o.low:.2f} to {o.high:.2f}, {o.turns} turns){met} | {bar(o)} | {'; '.join(map(beside, o.beside))} |")


def table(card, outcomes):
    head = [f"{card['cpu']}, {card['cores']} cores, {card['threads']} threads, {' '.join(card['isa'])}; commit {card['commit'][:12]}.", "",
            "| case | model | sllm | peer | ratio | bar | beside |", "|---|---|---|---|---|---|---|"]
    return "\n".join(head + [row(o) for o in outcomes]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--cases", nargs="*", default=[], metavar="TEXT")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    args = parser.parse_args()
    all_cases = inference.cases() + serving.cases() + evaluation.cases() + training.cases()
    cases = [c for c in all_cases if all(text in f"{c.name}, {c.model}" for text in args.cases)]
    if not cases:
        sys.exit(f"no case holds {' and '.join(args.cases)}; --list names them")
    if args.list:
        for c in cases:
            print(f"{c.name}, {c.model}: beside {c.peer}" + (f", at least {c.at_least}x" if c.at_least is not None else ""))
        return 0
    card, outcomes = programs.machine(), []
    for case in cases:
        print(f"{case.name}, {case.model}", file=sys.stderr, flush=True)
        outcomes.append(take_turns(case, args.turns))
        # Written after each case: what was measured is kept if a later one ends the run.
        if args.json:
            args.json.write_text(json.dumps({"machine": card, "cases": [dataclasses.asdict(o) for o in outcomes]}, indent=1) + "\n")
        if args.markdown:
            args.markdown.write_text(table(card, outcomes))
    print(table(card, outcomes), end="")
    return 0 if all(o.met or o.why_not for o in outcomes) else 1


sys.exit(main())
