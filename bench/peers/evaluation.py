"""Scoring tasks by `sllm eval` beside lm-evaluation-harness and beside llama-perplexity, from the same documents.

lm-evaluation-harness runs its `hf` model type on the bf16 weights, in bf16 where the processor has such instructions and in
F32 where it has not; its seconds are those of the evaluation and of reading its data, ours those of the whole process with the model's
loading. Two programs that compute in 16 bits may differ in a document whose choices lie close together: the exact mode's
equality with F32 is tests/parity/lm_eval_scores.py.
"""
import bz2
import csv
import functools
import json
import os
from pathlib import Path

from inference import file_of
from programs import PYTHON, SLLM, THREADS, llama, run, run_measured
from training import folder_of, scratch, shared
from turns import Beside, Case, Unavailable

PEER = Path(__file__).with_name("evaluation_peer.py")
SUBJECTS = ["anatomy", "high_school_geography", "machine_learning", "marketing", "philosophy"]
OF_A_SUBJECT, PROBLEMS, ENDINGS = (int(os.environ.get("BENCH_DOCUMENTS", n)) for n in (10, 50, 100))

MMLU = {
    "dataset_path": "json", "test_split": "test", "fewshot_split": "dev", "num_fewshot": 5, "fewshot_config": {"sampler": "first_n"},
    "output_type": "multiple_choice", "doc_to_choice": ["A", "B", "C", "D"], "doc_to_target": "answer",
    "doc_to_text": "{{question.strip()}}\nA. {{choices[0]}}\nB. {{choices[1]}}\nC. {{choices[2]}}\nD. {{choices[3]}}\nAnswer:",
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}], "metadata": {"version": 1.0}}
GSM8K = {
    "task": "gsm8k", "dataset_path": "json", "dataset_kwargs": {"data_files": {"train": "train.jsonl", "test": "test.jsonl"}},
    "training_split": "train", "fewshot_split": "train", "test_split": "test", "num_fewshot": 5, "output_type": "generate_until",
    "doc_to_text": "Question: {{question}}\nAnswer:", "doc_to_target": "{{answer}}",
    "generation_kwargs": {"until": ["Question:", "</s>", "<|im_end|>"], "do_sample": False, "temperature": 0.0},
    "filter_list": [{"name": "strict-match", "filter": [{"function": "regex", "regex_pattern": "#### (\\-?[0-9\\.\\,]+)"},
                                                        {"function": "take_first"}]}],
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True, "ignore_case": True, "ignore_punctuation": False,
                     "regexes_to_ignore": [",", "\\$", "(?s).*#### ", "\\.$"]}], "metadata": {"version": 3.0}}


def rows(path, objects):
    path.write_text("".join(json.dumps(o, ensure_ascii=False) + "\n" for o in objects), encoding="utf-8")


def task(folder, fields):
    (folder / f"{fields['task']}.yaml").write_text(json.dumps(fields, indent=1))  # JSON is YAML
    return fields["task"]


@functools.cache
def mmlu():
    """(folder of task files and data, names of the tasks): five-shot, the first documents of each subject."""
    folder, source = Path(scratch().name) / "mmlu", shared("data/mmlu")
    folder.mkdir()
    names = []
    for subject in SUBJECTS:
        for split, limit in (("dev", None), ("test", OF_A_SUBJECT)):
            with open(source / split / f"{subject}_{split}.csv", encoding="utf-8", newline="") as f:
                rows(folder / f"{subject}_{split}.jsonl", ({"question": r["question"], "choices": [r[f"choice{i}"] for i in range(4)],
                                                            "answer": int(r["answer"])} for r in list(csv.DictReader(f))[:limit]))
        names.append(task(folder, {**MMLU, "task": f"mmlu_{subject}", "description": "The following are multiple choice questions (with answers) about "
                                   f"{subject.replace('_', ' ')}.\n\n",
                                   "dataset_kwargs": {"data_files": {s: f"{subject}_{s}.jsonl" for s in ("dev", "test")}}}))
    return folder, names


@functools.cache
def gsm8k():
    folder, source = Path(scratch().name) / "gsm8k", shared("data/gsm8k")
    folder.mkdir()
    for split, limit in (("train", None), ("test", PROBLEMS)):
        lines = (source / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()[:limit]
        rows(folder / f"{split}.jsonl", map(json.loads, lines))
    return folder, [task(folder, GSM8K)]


def harness(what, name, made, metric, documents, at_least):
    def ours():
        folder, tasks = made()
        seconds, _, done = run_measured([SLLM, "eval", "-m", folder_of(name), "--mode", "fast", "--tasks", ",".join(tasks), "--tasks-dir", folder,
                                         "--threads", THREADS, "--json", "-q"], cwd=folder)
        scores = json.loads(done.stdout)["results"]
        return {"value": documents / seconds, "score": sum(scores[t][metric] for t in tasks) / len(tasks)}

    def theirs():
        folder, tasks = made()
        if not Path(PYTHON).exists():
            raise Unavailable(f"{PYTHON} is not there; tests/parity/setup.sh makes it")
        done = run([PYTHON, PEER, folder_of(name), folder, metric, *tasks], cwd=folder, env={**os.environ, "HF_DATASETS_OFFLINE": "1",
                   "HF_DATASETS_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": str(THREADS), "HF_HUB_OFFLINE": "1"})
        said = json.loads(done.stdout.strip().splitlines()[-1])
        return {"value": documents / said["seconds"], "score": said["score"]}
    return Case(what, name, "lm-evaluation-harness", "documents/s", ours, theirs, at_least,
                beside=lambda a, b: [Beside(metric, a["score"]), Beside("the peer's", b["score"])])


def hellaswag(name, at_least):
    """Of the whole process on both sides."""
    @functools.cache
    def made():
        folder = Path(scratch().name) / "hellaswag"
        folder.mkdir()
        lines = bz2.open(shared("data/hellaswag") / "hellaswag_val_full.txt.bz2", "rt", encoding="utf-8").read().split("\n")[:6 * ENDINGS]
        (folder / "lines.txt").write_text("\n".join(lines), encoding="utf-8")
        rows(folder / "test.jsonl", ({"query": lines[i], "label": int(lines[i + 1]), "choices": lines[i + 2:i + 6]} for i in range(0, len(lines), 6)))
        task(folder, {"task": "hellaswag", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": "test.jsonl"}}, "test_split": "test",
                      "output_type": "multiple_choice", "doc_to_text": "{{query}}", "doc_to_target": "{{label}}", "doc_to_choice": "choices",
                      "metric_list": [{"metric": "acc_norm", "aggregation": "mean", "higher_is_better": True}], "metadata": {"version": 1.0}})
        return folder

    def ours():
        seconds, _, done = run_measured([SLLM, "eval", "-m", file_of(name), "--mode", "fast", "--tasks", "hellaswag", "--tasks-dir", made(),
                                         "--threads", THREADS, "--json", "-q"], cwd=made())
        return {"value": ENDINGS / seconds, "score": json.loads(done.stdout)["results"]["hellaswag"]["acc_norm"]}

    def theirs():
        seconds, _, done = run_measured([llama("llama-perplexity"), "-m", file_of(name), "-f", made() / "lines.txt", "--hellaswag", "--hellaswag-tasks",
                                         ENDINGS, "-t", THREADS])
        last = [line.split("\t") for line in (done.stdout + done.stderr).splitlines() if line.startswith(f"{ENDINGS}\t")][-1]
        return {"value": ENDINGS / seconds, "score": float(last[1].strip(" %")) / 100}
    return Case(f"hellaswag, {ENDINGS} documents", name, "llama-perplexity", "documents/s", ours, theirs, at_least,
                beside=lambda a, b: [Beside("acc_norm", a["score"]), Beside("llama.cpp's", b["score"])])


def cases():
    return [hellaswag("M", 1.9),
            harness(f"MMLU, {len(SUBJECTS)} subjects, five-shot", "M", mmlu, "acc", len(SUBJECTS) * OF_A_SUBJECT, 6.0),
            harness(f"gsm8k, {PROBLEMS} problems, five-shot", "M", gsm8k, "exact_match", PROBLEMS, 4.0)]
