"""Vocabularies trained by `sllm tokenizer train` beside those of tokenizers' BpeTrainer with ByteLevel: the same tokens,
ids and merges, for two English and two Korean texts and three patterns; then the same ids for the inputs of
tokenizer_vectors, here, in tokenizers reading our tokenizer.json, and in the tokenizer that was trained there.
"""
import gzip
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.pop(0)  # this folder, whose tokenizers.py is not the library
SLLM = os.environ.get("SLLM_BIN", "")
DATA = Path(os.environ.get("SLLM_SHARED", "")) / "data"
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
PATTERNS = {"gpt2": None, "llama3": WORDS % r"\p{N}{1,3}", "qwen2": WORDS % r"\p{N}"}
failed = False


def report(good, text):
    global failed
    failed |= not good
    print(("PASS " if good else "FAIL ") + text, flush=True)


def run(*command, text=None):
    done = subprocess.run([str(c) for c in command], input=text, capture_output=True, text=True, timeout=1200)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command[:3]))}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def corpora(folder):
    """name -> (our flags, the same texts for the peer's train_from_iterator or a file for its train, tokens)."""
    book = (DATA / "books_en/1342.txt").read_text(encoding="utf-8-sig")  # Python turns \r\n into \n, as we do
    wiki = (DATA / "wikitext2/wiki.test.raw").read_text(encoding="utf8")
    with gzip.open(DATA / "nsmc_raw/reviews_first150k.tsv.gz", "rt", encoding="utf8") as lines:
        reviews = [line.rstrip("\n").split("\t")[-1] for line in itertools.islice(lines, 30000)]
    articles = json.loads((DATA / "korquad1/KorQuAD_v1.0_dev.json").read_text(encoding="utf8"))["data"]
    contexts = "\n\n".join(p["context"] for a in articles for p in a["paragraphs"])
    (folder / "book.txt").write_text(book, encoding="utf8")
    (folder / "wiki.txt").write_text(wiki, encoding="utf8")
    (folder / "articles.txt").write_text(contexts, encoding="utf8")
    rows = [json.dumps({"text": r}, ensure_ascii=False) for r in reviews if r.strip()]
    (folder / "reviews.jsonl").write_text("\n".join(rows), encoding="utf8")
    return {"an English book": ([folder / "book.txt"], [book], 5000),
            "Korean reviews": ([folder / "reviews.jsonl"], [r for r in reviews if r.strip()], 8000),
            "Korean articles": ([folder / "articles.txt"], [contexts], 3000),
            "English articles by line": ([folder / "wiki.txt", "--by-line"], folder / "wiki.txt", 1000)}


def peer_tokenizer(pattern, texts, vocabulary):
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    tokenizer = Tokenizer(models.BPE())
    split = PATTERNS[pattern]
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False) if split is None else \
        pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(split), "isolated"),
                                 pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    if pattern == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, min_frequency=2, special_tokens=SPECIAL, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    if isinstance(texts, Path):
        tokenizer.train([str(texts)], trainer)
    else:
        tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def same_model(name, ours, peer):
    mine, theirs = (json.loads(t)["model"] for t in (ours, peer.to_str()))
    report(mine["vocab"] == theirs["vocab"], f"{name}: {len(theirs['vocab'])} tokens with the same ids")
    pairs = [[tuple(m if isinstance(m, list) else m.split(" ")) for m in model["merges"]] for model in (mine, theirs)]
    same = next((i for i, (a, b) in enumerate(zip(*pairs)) if a != b), min(map(len, pairs)))
    report(pairs[0] == pairs[1], f"{name}: {same} of {len(pairs[1])} merges the same")
    if pairs[0] != pairs[1]:
        print(f"     from {same} on: {pairs[0][same:same + 3]}, expected {pairs[1][same:same + 3]}")


def same_ids(name, folder, peer, texts):
    from tokenizers import Tokenizer
    want = [e.ids for e in peer.encode_batch(texts, add_special_tokens=False)]
    got = json.loads(run(SLLM, "tokenize", "-m", folder, "--no-special", "--many", text=json.dumps(texts)))
    read = Tokenizer.from_file(str(folder / "tokenizer.json"))
    again = [e.ids for e in read.encode_batch(texts, add_special_tokens=False)]
    for what, ids in (("here", got), ("in tokenizers", again)):
        same = sum(a == b for a, b in zip(ids, want))
        report(same == len(texts), f"{name}: {same} of {len(texts)} texts the same ids {what}")


def main():
    if not SLLM or not (DATA / "tokenizer_vectors").is_dir():
        print("SKIP tokenizer_train: SLLM_BIN and SLLM_SHARED are not set")
        return 0
    try:
        import tokenizers  # noqa: F401
    except ImportError:
        print("SKIP tokenizer_train: tokenizers is not installed")
        return 0
    inputs = json.loads((DATA / "tokenizer_vectors/inputs.json").read_text(encoding="utf8"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, (flags, texts, vocabulary) in corpora(folder).items():
            for pattern in PATTERNS:
                out = folder / f"{name.replace(' ', '-')}-{pattern}"
                run(SLLM, "tokenizer", "train", *flags, "-o", out, "--pattern", pattern, "--vocab", vocabulary,
                    "--chatml", "--quiet")
                peer = peer_tokenizer(pattern, texts, vocabulary)
                same_model(f"{name}, {pattern}", (out / "tokenizer.json").read_text(encoding="utf8"), peer)
                same_ids(f"{name}, {pattern}", out, peer, inputs)
        for threads in (1, 2):
            run(SLLM, "tokenizer", "train", folder / "articles.txt", "-o", folder / f"by{threads}", "--vocab", 3000,
                "--threads", threads, "--quiet")
        one, two = ((folder / f"by{n}/tokenizer.json").read_bytes() for n in (1, 2))
        report(one == two, "one thread and two write the same file")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
