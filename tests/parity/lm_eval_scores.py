"""Scores beside lm-evaluation-harness 0.4.13, model type `hf`, from the same YAML and data.

hellaswag, piqa, winogrande, kobest_copa and kobest_boolq, the first 200 documents each, SmolLM2-135M in exact
mode. acc, acc_norm and F1 must be equal. Log-likelihoods must lie within 1e-3 of each other: logits agree to 5e-4
(logits.py says why), a log-likelihood adds a few tokens' worth. The peer computes in float32, one row at a time; its own
log-likelihoods then lie up to 1.2e-3 from its own float64 ones (piqa, document 142), so the documents that are further
than the bar are put to it again in float64, whose answer stands. The line of each task says how many.
Documents whose choices lie nearer than the bar are counted if a score differs.
SLLM_PARITY_LIMIT changes the number of documents.
"""
import bz2
import csv
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Files here are named after the packages they compare with and must not stand in for them.
sys.path = [p for p in sys.path if Path(p or ".").resolve() != Path(__file__).resolve().parent]

SLLM = os.environ.get("SLLM_BIN", "")
MODELS = Path(os.environ.get("SLLM_MODELS", ""))
SHARED = Path(os.environ.get("SLLM_SHARED", ""))
TASKS = ["hellaswag", "piqa", "winogrande", "kobest_copa", "kobest_boolq"]
METRICS = ["acc", "acc_norm", "f1"]
TOLERANCE = 1e-3
LIMIT = int(os.environ.get("SLLM_PARITY_LIMIT", "200"))


def skip(reason):
    print(f"SKIP {reason}")
    sys.exit(0)


def jsonl(path, rows):
    with open(path, "w", encoding="utf-8") as f:
        for row in rows:
            f.write(json.dumps(row, ensure_ascii=False) + "\n")


def prepare_data(data, out):
    """The first LIMIT rows of each data set under the column names that the tasks use."""
    out.mkdir()
    lines = bz2.open(data / "hellaswag/hellaswag_val_full.txt.bz2", "rt", encoding="utf-8").read().split("\n")
    jsonl(out / "hellaswag.jsonl", ({"query": lines[i], "label": lines[i + 1].strip(), "choices": lines[i + 2:i + 6]}
                                    for i in range(0, 6 * LIMIT, 6)))
    labels = (data / "piqa/valid-labels.lst").read_text().split()
    rows = [json.loads(line) for line in open(data / "piqa/valid.jsonl", encoding="utf-8")]
    jsonl(out / "piqa.jsonl", ({**row, "label": int(label)} for row, label in list(zip(rows, labels))[:LIMIT]))
    rows = [json.loads(line) for line in open(data / "winogrande/dev.jsonl", encoding="utf-8")]
    jsonl(out / "winogrande.jsonl", rows[:LIMIT])

    def kobest(name):
        with open(data / f"kobest/{name}/test.tsv", encoding="utf-8", newline="") as f:
            return list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))[:LIMIT]
    jsonl(out / "kobest_boolq.jsonl", ({"paragraph": r["Text"], "question": r["Question"],
                                        "label": int(r["Answer"].strip().lower() == "true")} for r in kobest("BoolQ")))
    jsonl(out / "kobest_copa.jsonl", ({"premise": r["sentence"], "question": r["question"], "alternative_1": r["1"],
                                       "alternative_2": r["2"], "label": int(r["Answer"]) - 1} for r in kobest("COPA")))


def run_peer(work, model, dtype="float32", documents=None):
    """Scores {task: {metric: value}} and log-likelihoods {task: {document: [one a choice]}}; documents: {task: [index]}."""
    import lm_eval
    from lm_eval.tasks import TaskManager
    for package, module in [("kobest", "utils.py"), ("winogrande", "preprocess_winogrande.py")]:
        shutil.copy(Path(lm_eval.__file__).parent / "tasks" / package / module, work / "tasks" / module)
    manager = TaskManager(include_path=str(work / "tasks"), include_defaults=False)
    result = lm_eval.simple_evaluate(
        model="hf", model_args={"pretrained": str(model), "dtype": dtype}, tasks=list(documents or TASKS),
        task_manager=manager, limit=None if documents else LIMIT, samples=documents, batch_size=1, device="cpu",
        log_samples=True, bootstrap_iters=0)
    scores = {t: {m: result["results"][t].get(f"{m},none") for m in METRICS} for t in result["samples"]}
    samples = {t: {s["doc_id"]: [float(r[0][0]) for r in s["resps"]] for s in answers}
               for t, answers in result["samples"].items()}
    return scores, samples


def differences(mine, theirs):
    """|mine - theirs| of each choice's log-likelihood."""
    return [abs(a - b) for a, b in zip(mine, theirs, strict=True)]


def run_ours(work, model):
    command = [SLLM, "eval", "-m", str(model), "--mode", "exact", "--tasks", ",".join(TASKS), "--tasks-dir", "tasks",
               "--limit", str(LIMIT), "--log-samples", "ours.jsonl", "--json"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"FAIL sllm eval: exit {done.returncode}: {done.stderr[-500:]}")
        sys.exit(1)
    document = json.loads(done.stdout)
    samples = {t: {} for t in TASKS}
    for line in open(work / "ours.jsonl"):
        s = json.loads(line)
        samples[s["task"]][s["doc_id"]] = s["logprobs"]
    return document, samples


def main():
    if not SLLM or not Path(SLLM).exists():
        skip("SLLM_BIN does not name the sllm program")
    if not (SHARED / "data/hellaswag").is_dir():
        skip("SLLM_SHARED has no data/hellaswag")
    try:
        import lm_eval  # noqa: F401
    except ImportError:
        skip("lm-eval is not installed")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        model = MODELS / "hf-smollm2"
        if not model.is_dir():
            gguf = MODELS / "smollm2-135m-instruct.Q4_1.gguf"
            if not gguf.exists():
                skip("SLLM_MODELS has no SmolLM2-135M")
            model = work / "hf-smollm2"
            subprocess.run([sys.executable, SHARED / "tools/gguf_to_hf.py", gguf, model], check=True,
                           stdout=subprocess.DEVNULL)
        shutil.copytree(Path(__file__).parent / "tasks", work / "tasks")
        prepare_data(SHARED / "data", work / "data")
        ours, our_samples = run_ours(work, model)
        os.chdir(work)
        os.environ["HF_DATASETS_CACHE"] = str(work / "cache")
        os.environ["HF_DATASETS_OFFLINE"] = "1"
        peer, peer_samples = run_peer(work, model)
        apart = {t: [d for d, theirs in answers.items() if max(differences(our_samples[t][d], theirs)) > TOLERANCE]
                 for t, answers in peer_samples.items()}
        apart = {t: documents for t, documents in apart.items() if documents}
        if apart:
            for task, answers in run_peer(work, model, "float64", apart)[1].items():
                peer_samples[task].update(answers)
        os.chdir("/")
    failed = False
    for task in TASKS:
        distances, near, measured = [], 0, 0
        for doc, theirs in peer_samples[task].items():
            mine = our_samples[task][doc]
            distances += differences(mine, theirs)
            near += sorted(theirs)[-1] - sorted(theirs)[-2] < TOLERANCE
        for metric in METRICS:
            theirs = peer[task][metric]
            if theirs is None:
                continue
            mine = ours["results"][task][metric]
            equal = abs(mine - theirs) < 1e-9  # NaN is not
            measured += 1
            failed |= not equal
            print(f"{'PASS' if equal else 'FAIL'} {task} {metric}: ours {mine:.6f}, lm-eval {theirs:.6f}"
                  + ("" if equal or not near else f" ({near} documents have choices nearer than {TOLERANCE})"))
        # max() passes over NaN, so each must be finite.
        worst = max(distances) if distances and all(map(math.isfinite, distances)) else math.nan
        ok = worst <= TOLERANCE and measured > 0 and our_samples[task].keys() == peer_samples[task].keys()
        failed |= not ok
        print(f"{'PASS' if ok else 'FAIL'} {task} log-likelihoods: largest difference {worst:.2e} over "
              f"{len(peer_samples[task])} documents, {len(apart.get(task, []))} of them in float64; {measured} metrics")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
