"""Unigram vocabularies of `sllm tokenizer train --kind unigram` beside those of tokenizers' UnigramTrainer and of
sentencepiece, trained on the words of nine tenths of a text and measured on the rest: tokens, and the log-likelihood of
the likeliest cut. Both must be as good as the peer's within 1 % (better is allowed). The peers look for substrings in
each different word once, we weigh them by how often the text has the word, so the vocabularies are not the same. Then the
ids of the inputs of tokenizer_vectors, here and in tokenizers reading our tokenizer.json, with and without tokens for
bytes, and the same file from one thread and from two.
"""
import collections
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
WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
MARGIN = 0.01
failed = False


def report(good, text):
    global failed
    failed |= not good
    print(("PASS " if good else "FAIL ") + text, flush=True)


def run(*command, text=None):
    done = subprocess.run([str(c) for c in command], input=text and text.encode(), capture_output=True, timeout=1200)
    said = done.stdout.decode()  # bytes until here, so that no newline is translated
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command[:3]))}: {(done.stderr.decode() or said).strip()[-300:]}")
    return said


def texts():
    """name -> (text, tokens)"""
    with gzip.open(DATA / "nsmc_raw/reviews_first150k.tsv.gz", "rt", encoding="utf8") as lines:
        reviews = "\n".join(line.rstrip("\n").split("\t")[-1] for line in itertools.islice(lines, 30000))
    articles = json.loads((DATA / "korquad1/KorQuAD_v1.0_dev.json").read_text(encoding="utf8"))["data"]
    return {"an English book": ((DATA / "books_en/1342.txt").read_text(encoding="utf-8-sig"), 4000),
            "English articles": ((DATA / "wikitext2/wiki.test.raw").read_text(encoding="utf8"), 8000),
            "Korean reviews": (reviews, 8000),
            "Korean articles": ("\n\n".join(p["context"] for a in articles for p in a["paragraphs"]), 8000)}


def peer_tokenizer(text, vocabulary):
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(WORDS), "isolated"), pre_tokenizers.Metaspace(prepend_scheme="never", split=False)])
    tokenizer.train_from_iterator([text], trainers.UnigramTrainer(
        vocab_size=vocabulary, special_tokens=["<unk>", "<|endoftext|>"], unk_token="<unk>", show_progress=False))
    return tokenizer


def sentencepiece_tokenizer(text, vocabulary, like, folder):
    """sentencepiece's pieces between the steps of `like`. It takes words with their counts, but none with a newline or
    a tab."""
    import sentencepiece
    from tokenizers import Tokenizer, models
    words = collections.Counter(
        word for word, _ in like.pre_tokenizer.pre_tokenize_str(like.normalizer.normalize_str(text)))
    (folder / "words.tsv").write_text("".join(f"{word}\t{count}\n" for word, count in words.items()
                                              if not set(word) & set("\n\t\r")), encoding="utf8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "words.tsv"), input_format="tsv", model_prefix=str(folder / "spm"), vocab_size=vocabulary,
        model_type="unigram", normalization_rule_name="identity", add_dummy_prefix=False, bos_id=-1, eos_id=1,
        remove_extra_whitespaces=False, split_by_unicode_script=False, split_by_number=False, character_coverage=1.0,
        minloglevel=2)
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spm.model"))
    pieces = [(model.id_to_piece(i), model.get_score(i)) for i in range(model.vocab_size())]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.normalizer, tokenizer.pre_tokenizer = like.normalizer, like.pre_tokenizer
    return tokenizer


def as_good(name, ours, peer, there, text):
    (n, likelihood), (m, theirs) = measure(ours, text), measure(peer, text)
    report(n <= m * (1 + MARGIN), f"{name}: {n} tokens of held-out text, {m} in {there} ({(n / m - 1) * 100:+.2f} %)")
    report(likelihood >= theirs * (1 + MARGIN), f"{name}: log-likelihood {likelihood:.0f}, {theirs:.0f} in {there} "
           f"({(1 - likelihood / theirs) * 100:+.2f} %)")
    report(ours.get_vocab_size() <= peer.get_vocab_size(),
           f"{name}: with {ours.get_vocab_size()} tokens, {peer.get_vocab_size()} in {there}")


def measure(tokenizer, text):
    """Tokens of a text, and the log-likelihood of that cut."""
    model = json.loads(tokenizer.to_str())["model"]
    scores = [score for _, score in model["vocab"]]
    unknown = min(scores) - 10
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    return len(ids), sum(unknown if i == model["unk_id"] else scores[i] for i in ids)


def same_ids(name, folder, inputs):
    from tokenizers import Tokenizer
    read = Tokenizer.from_file(str(folder / "tokenizer.json"))
    want = [e.ids for e in read.encode_batch(inputs, add_special_tokens=False)]
    got = json.loads(run(SLLM, "tokenize", "-m", folder, "--no-special", "--many", text=json.dumps(inputs)))
    same = sum(a == b for a, b in zip(got, want))
    report(same == len(inputs), f"{name}: {same} of {len(inputs)} texts the same ids in tokenizers")
    back = [read.decode(ids, skip_special_tokens=False) for ids in want]
    text = run(SLLM, "tokenize", "-m", folder, "--decode", text=json.dumps([i for ids in want for i in ids]))
    report(text == "".join(back), f"{name}: decoded to the same {len(text)} characters")


def main():
    if not SLLM or not (DATA / "tokenizer_vectors").is_dir():
        print("SKIP unigram_train: SLLM_BIN and SLLM_SHARED are not set")
        return 0
    try:
        import sentencepiece  # noqa: F401
        from tokenizers import Tokenizer
    except ImportError:
        print("SKIP unigram_train: tokenizers and sentencepiece are not installed")
        return 0
    inputs = json.loads((DATA / "tokenizer_vectors/inputs.json").read_text(encoding="utf8"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, (text, vocabulary) in texts().items():
            cut = text.rfind("\n", 0, len(text) * 9 // 10)
            (folder / "train.txt").write_text(text[:cut], encoding="utf8")
            common = ["--kind", "unigram", "--vocab", vocabulary, "--quiet"]
            run(SLLM, "tokenizer", "train", folder / "train.txt", "-o", folder / "plain", "--no-byte-fallback", *common)
            peer = peer_tokenizer(text[:cut], vocabulary)
            ours = Tokenizer.from_file(str(folder / "plain/tokenizer.json"))
            as_good(name, ours, peer, "tokenizers", text[cut:])
            as_good(name, ours, sentencepiece_tokenizer(text[:cut], vocabulary, peer, folder), "sentencepiece",
                    " ".join(text[cut:].split()))
            for threads in (1, 2):
                run(SLLM, "tokenizer", "train", folder / "train.txt", "-o", folder / f"by{threads}", "--threads",
                    threads, *common)
            same_ids(f"{name}, <unk>", folder / "plain", inputs)
            same_ids(f"{name}, bytes", folder / "by1", inputs)
            one, two = ((folder / f"by{n}/tokenizer.json").read_bytes() for n in (1, 2))
            report(one == two, f"{name}: one thread and two write the same file")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
