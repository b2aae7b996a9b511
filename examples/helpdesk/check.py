"""Checks the help-desk questions against the documents they are about.

Every quote stands verbatim in its page, every fact stands in the quote and in the answer, ids are
unique, the counts are as planned, and no held-out question repeats a tuning question
(character 5-grams, Jaccard below 0.5). Run: python3 examples/helpdesk/check.py
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# (file, language, answerable) -> rows
COUNTS = {
    ("train.jsonl", "en", True): 965,
    ("train.jsonl", "ko", True): 697,
    ("train.jsonl", "en", False): 123,
    ("train.jsonl", "ko", False): 81,
    ("test.jsonl", "en", True): 100,
    ("test.jsonl", "ko", True): 50,
    ("test.jsonl", "en", False): 14,
    ("test.jsonl", "ko", False): 6,
}
REFUSALS = {"en": "I don't know.", "ko": "모르겠습니다."}
NEAR = 0.5

problems = []


def holds(text, fact):
    """A fact is a string, or a list of which any one will do."""
    choices = fact if isinstance(fact, list) else [fact]
    return any(choice.lower() in text.lower() for choice in choices)


def grams(text):
    text = " ".join(text.lower().split())
    return {text[i : i + 5] for i in range(max(1, len(text) - 4))}


def similarity(a, b):
    return len(a & b) / len(a | b)


def question(row):
    return row["messages"][-2]["content"]


def check_row(row, where):
    answer = row["messages"][-1]["content"]
    if [m["role"] for m in row["messages"]] != ["user", "assistant"]:
        return problems.append(f"{where}: expected one question and one answer")
    if not row["answerable"]:
        if answer != REFUSALS[row["lang"]] or row["facts"]:
            problems.append(f"{where}: an unanswerable row has only the refusal")
        if "source" in row or "quote" in row:
            problems.append(f"{where}: an unanswerable row has no source")
        return
    if not row["facts"]:
        problems.append(f"{where}: no facts")
    korean_page = row["source"].startswith("docs/guide/ko/")
    if korean_page != (row["lang"] == "ko"):
        problems.append(f"{where}: {row['source']} is not in the question's language")
    if row["quote"] not in (ROOT / row["source"]).read_text(encoding="utf-8"):
        problems.append(f"{where}: the quote is not in {row['source']}: {row['quote']}")
    for fact in row["facts"]:
        for name, text in (("quote", row["quote"]), ("answer", answer)):
            if not holds(text, fact):
                problems.append(f"{where}: {fact!r} is not in the {name}: {text}")


def main():
    rows = {}
    ids = set()
    for name in ("train.jsonl", "test.jsonl"):
        lines = (HERE / name).read_text(encoding="utf-8").splitlines()
        rows[name] = [json.loads(line) for line in lines]
        for number, row in enumerate(rows[name], 1):
            check_row(row, f"{name}:{number}")
            if row["id"] in ids:
                problems.append(f"{name}:{number}: the id {row['id']} occurs twice")
            ids.add(row["id"])
    for (name, lang, answerable), wanted in COUNTS.items():
        found = sum(r["lang"] == lang and r["answerable"] == answerable for r in rows[name])
        if found != wanted:
            kind = "answerable" if answerable else "unanswerable"
            problems.append(f"{name}: {found} {kind} rows in {lang}, expected {wanted}")
    tuning = [(row["id"], grams(question(row))) for row in rows["train.jsonl"]]
    nearest = 0.0
    for row in rows["test.jsonl"]:
        own = grams(question(row))
        for other, theirs in tuning:
            near = similarity(own, theirs)
            nearest = max(nearest, near)
            if near >= NEAR:
                problems.append(f"{row['id']} repeats {other}: similarity {near:.2f}")
    for problem in problems:
        print(problem)
    if not problems:
        total = sum(len(r) for r in rows.values())
        print(f"ok: {total} rows, nearest held-out question {nearest:.2f}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
