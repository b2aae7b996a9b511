"""Retrieval on data we did not write, beside plain BM25 (rank_bm25) over the very same chunks.

English: the five corpora of chunking_evaluation in one index, its 472 questions. Korean: KorQuAD 1.0's
964 paragraphs, 1,000 questions drawn with a fixed seed. The right chunk is, for each reference, the one
that holds the most of it; hit@5 asks whether one of them is among the first five.
The bar is the library's own figure: ours must not be below the better of the two tokenisations that its
users write (split at spaces, words). What it reaches with Korean cut into pairs of characters, as our
index does, is printed beside them and is no bar.
"""
import csv
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

SLLM = os.environ.get("SLLM_BIN", "")
SHARED = Path(os.environ.get("SLLM_SHARED", ""))
CORPORA = ["chatlogs", "finance", "pubmed", "state_of_the_union", "wikitexts"]


def skip(reason):
    print(f"SKIP retrieval: {reason}")
    sys.exit(0)


def read(path):
    return path.read_bytes().decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def english(folder):
    """Documents into `folder`; questions with their references as (document, begin, end) in bytes."""
    data = SHARED / "data/chunking_eval_en"
    raw, texts = {}, {}
    for name in CORPORA:
        raw[name] = (data / f"{name}.md").read_bytes().decode("utf-8")
        texts[name] = read(data / f"{name}.md")
        (folder / f"{name}.md").write_bytes(texts[name].encode())

    def byte(name, characters):
        return len(raw[name][:characters].replace("\r\n", "\n").encode())

    questions = []
    csv.field_size_limit(10**9)
    with open(data / "questions_df.csv", encoding="utf-8", newline="") as f:
        for row in csv.DictReader(f):
            name = row["corpus_id"]
            spans = [(f"{name}.md", byte(name, r["start_index"]), byte(name, r["end_index"]))
                     for r in json.loads(row["references"])]
            questions.append((row["question"], spans))
    return questions


def korean(folder):
    data = json.loads((SHARED / "data/korquad1/KorQuAD_v1.0_dev.json").read_text(encoding="utf-8"))
    everything, number = [], 0
    for article in data["data"]:
        for paragraph in article["paragraphs"]:
            name, text = f"{number:04}.txt", paragraph["context"]
            (folder / name).write_bytes(text.encode())
            number += 1
            for qa in paragraph["qas"]:
                answer = qa["answers"][0]
                begin = len(text[:answer["answer_start"]].encode())
                everything.append((qa["question"],
                                   [(name, begin, begin + len(answer["text"].encode()))]))
    return random.Random(0).sample(everything, 1000)


def chunks_of(index):
    """The index's own chunks: [(document, begin, end, text)] and id -> position."""
    import sqlite3
    db = sqlite3.connect(f"file:{index}?mode=ro", uri=True)
    rows = db.execute("SELECT c.id, d.path, c.begin_byte, c.end_byte, c.text FROM chunk c "
                      "JOIN document d ON d.id = c.document ORDER BY c.id").fetchall()
    return [r[1:] for r in rows], {r[0]: i for i, r in enumerate(rows)}


def right_chunks(chunks, questions):
    by_document = defaultdict(list)
    for i, (document, begin, end, _) in enumerate(chunks):
        by_document[document].append((begin, end, i))
    right = []
    for _, spans in questions:
        right.append({max(by_document[d], key=lambda c: min(e, c[1]) - max(b, c[0]))[2]
                      for d, b, e in spans})
    return right


def ours(index, positions, questions):
    answer = subprocess.run([SLLM, "search", "-i", index, "-k", "10", "--json", "-"],
                            input="\n".join(q.replace("\n", " ") for q, _ in questions) + "\n",
                            capture_output=True, text=True, check=True).stdout
    return [[positions[h["id"]] for h in json.loads(line)["hits"]] for line in answer.splitlines()]


def library(texts, queries):
    import numpy
    from rank_bm25 import BM25Okapi
    bm25 = BM25Okapi(texts)
    return [numpy.argsort(-bm25.get_scores(q), kind="stable")[:10].tolist() for q in queries]


def hit(found, right, k):
    return sum(bool(set(f[:k]) & r) for f, r in zip(found, right)) / len(right)


def measure(language, prepare):
    with tempfile.TemporaryDirectory() as temporary:
        folder, index = Path(temporary) / "documents", str(Path(temporary) / "index.db")
        folder.mkdir()
        questions = prepare(folder)
        subprocess.run([SLLM, "index", str(folder), "--out", index, "--quiet"], check=True,
                       capture_output=True)
        chunks, positions = chunks_of(index)
        right = right_chunks(chunks, questions)
        found = ours(index, positions, questions)
    best = 0
    print(f"     {language}: {len(chunks)} chunks, {len(questions)} questions")
    print(f"     {language}: sllm hit@1 {hit(found, right, 1):.4f} hit@5 {hit(found, right, 5):.4f} "
          f"hit@10 {hit(found, right, 10):.4f}")
    ways = {"split at spaces": lambda s: s.lower().split(),
            "words": lambda s: re.findall(r"\w+", s.lower())}
    if language == "Korean":
        def pairs(s):
            words = re.findall(r"\w+", s.lower())
            return [w[i:i + 2] for w in words for i in range(max(1, len(w) - 1))]
        ways["pairs of characters"] = pairs
    for name, way in ways.items():
        theirs = library([way(c[3]) for c in chunks], [way(q) for q, _ in questions])
        figure = hit(theirs, right, 5)
        if name != "pairs of characters":
            best = max(best, figure)
        print(f"     {language}: rank_bm25 on {name}: hit@1 {hit(theirs, right, 1):.4f} "
              f"hit@5 {figure:.4f} hit@10 {hit(theirs, right, 10):.4f}")
    mine = hit(found, right, 5)
    passed = mine >= best
    print(f"{'PASS' if passed else 'FAIL'} retrieval {language}: hit@5 {mine:.4f}, "
          f"best plain BM25 {best:.4f}")
    return passed


def main():
    if not SLLM or not Path(SLLM).exists():
        skip("SLLM_BIN does not name the program")
    if not (SHARED / "data/korquad1").exists() or not (SHARED / "data/chunking_eval_en").exists():
        skip("SLLM_SHARED holds no data/korquad1 and data/chunking_eval_en")
    try:
        import rank_bm25  # noqa: F401
    except ImportError:
        skip("the Python package rank_bm25 is not installed")
    sys.exit(0 if all([measure("English", english), measure("Korean", korean)]) else 1)


if __name__ == "__main__":
    main()
