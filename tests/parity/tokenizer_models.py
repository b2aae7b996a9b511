"""Token ids of every kind of tokenizer file, against the library that the file belongs to.

- SentencePiece BPE and unigram (tokenizer.model) against sentencepiece: the stored vectors, models
  that sentencepiece trains here with each normalizer and option, Mistral's where mistral-common is
  installed.
- GGUF vocabularies: llama.cpp's .inp/.out pairs; gpt-neox against the same vocabulary in tokenizers, baichuan in
  sentencepiece.
- tokenizer.json with every normalizer, pre-tokenizer, post-processor and decoder, and tekken.json.
- 2 MB each of English, Korean, code and random Unicode, ids and decoded text.
All comparisons are exact. PARITY_QUICK=1 leaves out the parts of tokenizer.json one by one and the GGUF vocabularies' texts.
"""
import gzip
import itertools
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

sys.path.pop(0)  # this folder, whose tokenizers.py is not the library

SIZE = 2_000_000  # bytes of each kind of text
failed = False


def report(good, name, figure):
    global failed
    failed |= not good
    print(f"{'PASS' if good else 'FAIL'} {name}: {figure}", flush=True)


def sllm(args, text):
    done = subprocess.run([os.environ["SLLM_BIN"], "tokenize", *args], input=text.encode(),
                          capture_output=True, timeout=600)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    return done.stdout.decode(errors="replace")


def compare(name, model, texts, want, decoded=None, plain=True):
    """want: ids per text; decoded: what the peer makes of all ids at once."""
    options = ["-m", str(model), "--no-special"] + (["--plain"] if plain else [])
    try:
        ours = json.loads(sllm([*options, "--many"], json.dumps(texts)))
    except RuntimeError as error:
        return report(False, name, str(error)[:200])
    bad = [(t, a, b) for t, a, b in zip(texts, ours, want) if a != b]
    report(not bad, name, f"{len(texts) - len(bad)} of {len(texts)} texts the same, "
           f"{sum(map(len, want))} ids")
    for text, a, b in bad[:2]:
        at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
        print(f"     {text[:60]!r} at {at}: {a[at:at + 6]}, expected {b[at:at + 6]}")
    if decoded is None:
        return None
    ids = list(itertools.chain(*want))
    text = sllm(["-m", str(model), "--decode"], json.dumps(ids))
    same = text == decoded
    report(same, f"{name}, decoded", f"{len(text)} characters")
    if not same:
        at = next((i for i, (x, y) in enumerate(zip(text, decoded)) if x != y), len(text))
        print(f"     at {at}: {text[at - 10:at + 20]!r}, expected {decoded[at - 10:at + 20]!r}")
    return None


def cut(text, size=SIZE):
    """Lines of at most 4000 characters, together about `size` bytes."""
    texts, total = [], 0
    for line in text.splitlines(keepends=True):
        for at in range(0, len(line), 4000):
            part = line[at:at + 4000]
            texts.append(part)
            total += len(part.encode())
        if total >= size:
            break
    return texts


def random_unicode(size=SIZE):
    rng = random.Random(11)
    # Characters that every side's Unicode tables know: those assigned in Unicode 13 or before.
    old = [c for c in map(chr, range(32, 0x20000)) if unicodedata.category(c) not in ("Cn", "Cs", "Co")
           and not 0x1E030 <= ord(c) < 0x1E090 and unicodedata.ucd_3_2_0.category(c) != "Cn"]
    texts, total = [], 0
    while total < size:
        text = ""
        for _ in range(rng.randrange(1, 40)):
            start = rng.randrange(len(old))
            near = old[start:start + 60]
            text += "".join(rng.choice(near) for _ in range(rng.randrange(1, 8)))
            text += rng.choice(["", " ", "  ", "\n", "\r\n", "'s", "'LL", "123", "\t", "e\u0301", "각"])
        texts.append(text)
        total += len(text.encode())
    return texts


def corpora(data):
    english = "".join((data / "books_en" / n).read_text(encoding="utf8", errors="replace")
                      for n in ("1342.txt", "2701-0.txt")) + (data / "wikitext2/wiki.test.raw").read_text()
    korean = "".join(p.read_text(encoding="utf8") for p in sorted((data / "konlpy_corpus_ko").glob("*.txt"))
                     if p.name != "SOURCE.txt")
    with gzip.open(data / "nsmc_raw/reviews_first150k.tsv.gz", "rt", encoding="utf8") as lines:
        korean += "".join(line.split("\t")[-1] for line in itertools.islice(lines, 40000))
    root = pathlib.Path(__file__).resolve().parents[2] / "src"
    code = "".join(p.read_text() for p in sorted(root.rglob("*.[ch]*")))
    import transformers
    source = pathlib.Path(transformers.__file__).parent
    code += "".join(p.read_text() for p in sorted(source.glob("*.py")))
    return {"English": cut(english), "Korean": cut(korean), "code": cut(code),
            "random Unicode": random_unicode()}


def check_sentencepiece(data, texts, big, folder):
    import sentencepiece
    for name, path in (("llama2", "tok_llama2"), ("granite7b", "tok_granite7b")):
        stored = json.loads((data / f"tokenizer_vectors/{name}.json").read_text())
        compare(f"{name} tokenizer.model, stored vectors", data / path / "tokenizer.model", texts,
                stored["ids"])
    llama = data / "tok_llama2/tokenizer.model"
    peer = sentencepiece.SentencePieceProcessor(model_file=str(llama))
    for kind, lines in big.items():
        ids = [peer.encode(t) for t in lines]
        compare(f"llama2 tokenizer.model, {kind}", llama, lines, ids)
    try:
        import mistral_common
        models = pathlib.Path(mistral_common.__file__).parent / "data"
    except ImportError:
        print("SKIP mistral: mistral-common is not installed")
        models = None
    if models:
        file = models / "tokenizer.model.v1"
        stored = json.loads((data / "tokenizer_vectors/mistral_v1.json").read_text())
        copy = folder / "mistral" / "tokenizer.model"
        copy.parent.mkdir()
        copy.write_bytes(file.read_bytes())
        compare("mistral_v1 tokenizer.model, stored vectors", copy, texts, stored["ids"])
        check_tekken(models / "tekken_240911.json", texts, big, folder)
    if not (data / "tok_openllama").exists():
        print("SKIP openllama: data/tok_openllama is not at hand")
    corpus = folder / "corpus.txt"
    corpus.write_text("".join(big["English"][:6000] + big["Korean"][:6000] + big["code"][:6000]))
    variants = {
        "unigram": {}, "unigram nfkc byte fallback": {"byte_fallback": True, "normalization_rule_name": "nfkc"},
        "unigram nfkc_cf suffix": {"normalization_rule_name": "nmt_nfkc_cf", "treat_whitespace_as_suffix": True},
        "unigram identity": {"normalization_rule_name": "identity", "remove_extra_whitespaces": False,
                             "add_dummy_prefix": False},
        "unigram user symbols": {"user_defined_symbols": ["<|sep|>", "def ", "한국"]},
        "bpe": {"model_type": "bpe"},
        "bpe llama style": {"model_type": "bpe", "byte_fallback": True, "split_digits": True,
                            "normalization_rule_name": "identity", "remove_extra_whitespaces": False},
        "bpe user symbols": {"model_type": "bpe", "user_defined_symbols": ["<|sep|>", "  ", "한국"]},
    }
    mixed = texts + ["a <|sep|> def f():  한국어  ", "  x\u3000y ", "ｶﾞ１２３ Ⅷ ﬁ", "\u200b\ufeffx", "👩‍👩‍👧"]
    for kind, lines in big.items():
        mixed += lines[:400]
    for name, options in variants.items():
        prefix = folder / name.replace(" ", "_")
        sentencepiece.SentencePieceTrainer.train(
            input=str(corpus), model_prefix=str(prefix), vocab_size=4000, character_coverage=0.999,
            num_threads=2, minloglevel=2, max_sentence_length=20000, **options)
        peer = sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")
        compare(f"sentencepiece {name}", f"{prefix}.model", mixed, [peer.encode(t) for t in mixed])


def check_tekken(file, texts, big, folder):
    """tekken.json against tiktoken's algorithm in tokenizers (ranks as merges)."""
    try:
        from mistral_common.tokens.tokenizers.tekken import Tekkenizer
    except ImportError as error:
        print(f"SKIP tekken: {error}")
        return
    peer = Tekkenizer.from_file(str(file))
    copy = folder / "tekken.json"
    copy.write_bytes(file.read_bytes())
    lines = texts + big["English"][:2000] + big["Korean"][:2000] + big["code"][:2000]
    compare("tekken.json", copy, lines, [peer.encode(t, bos=False, eos=False) for t in lines])


def check_gguf(data):
    for inputs in sorted((data / "tok_ggml_vocab").glob("*.gguf.inp")):
        vocabulary = inputs.with_suffix("")
        if not vocabulary.exists():
            continue
        texts = inputs.read_text(encoding="utf8").split("\n__ggml_vocab_test__\n")
        lines = vocabulary.with_name(vocabulary.name + ".out").read_text().split("\n")
        compare(f"{vocabulary.stem}, llama.cpp's pairs", vocabulary, texts,
                [[int(i) for i in line.split()] for line in lines[:len(texts)]], plain=False)


def gguf_peer(data, name, folder):
    """The GGUF vocabulary as a tokenizer of Hugging Face's library."""
    import gguf
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
    reader = gguf.GGUFReader(str(data / f"tok_ggml_vocab/ggml-vocab-{name}.gguf"))

    def strings(key):
        field = reader.fields[key]
        return [bytes(field.parts[i]).decode("utf8") for i in field.data]
    tokens = strings("tokenizer.ggml.tokens")
    types = reader.fields["tokenizer.ggml.token_type"]
    types = [int(types.parts[i][0]) for i in types.data]
    merges = [tuple(m.split(" ")) for m in strings("tokenizer.ggml.merges")]
    peer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    digits = pre_tokenizers.Digits(individual_digits=True)
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    steps = {"gpt-neox": [level], "mpt": [level], "gpt-2": [level], "starcoder": [digits, level],
             "refact": [digits, level],
             "falcon": [pre_tokenizers.Punctuation("contiguous"), level,
                        pre_tokenizers.Digits(individual_digits=False),
                        pre_tokenizers.Split(__import__("tokenizers").Regex("[0-9][0-9][0-9]"), "isolated")]}
    peer.pre_tokenizer = pre_tokenizers.Sequence(steps[name])
    if name in ("gpt-neox", "mpt"):
        peer.normalizer = normalizers.NFC()
    peer.decoder = decoders.ByteLevel()
    peer.add_tokens([AddedToken(t, normalized=False, special=k == 3)
                     for t, k in zip(tokens, types) if k in (3, 4)])
    return peer


def check_baichuan(data, texts, big):
    """A SentencePiece vocabulary that came without its .inp/.out pair, against sentencepiece with the same pieces."""
    import gguf
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2
    file = data / "tok_ggml_vocab/ggml-vocab-baichuan.gguf"
    fields = gguf.GGUFReader(str(file)).fields
    model = sentencepiece_model_pb2.ModelProto()
    model.trainer_spec.model_type = model.trainer_spec.BPE
    model.trainer_spec.byte_fallback = True
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.remove_extra_whitespaces = False
    for piece, score, kind in zip(*(fields[f"tokenizer.ggml.{k}"].contents() for k in ("tokens", "scores", "token_type"))):
        model.pieces.add(piece=piece, score=score, type=kind)
    peer = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
    lines = texts + [t for kind in big.values() for t in kind[:3000]]
    compare("baichuan GGUF vocabulary against sentencepiece", file, lines, peer.encode(lines))


def check_gguf_texts(data, texts, big, folder):
    lines = texts + [t for kind in big.values() for t in kind[:3000]]
    for name in ("gpt-neox", "mpt", "gpt-2", "starcoder", "refact", "falcon"):
        peer = gguf_peer(data, name, folder)
        compare(f"{name} GGUF vocabulary against tokenizers",
                data / f"tok_ggml_vocab/ggml-vocab-{name}.gguf", lines,
                [e.ids for e in peer.encode_batch(lines, add_special_tokens=False)], plain=False)


def check_big(data, big):
    from tokenizers import Tokenizer
    for name in ("tok_llama3_hf", "tok_qwen3_hf", "tok_granite7b"):
        file = data / name / "tokenizer.json"
        peer = Tokenizer.from_file(str(file))
        for kind, lines in big.items():
            ids = [e.ids for e in peer.encode_batch(lines, add_special_tokens=False)]
            text = peer.decode(list(itertools.chain(*ids)), skip_special_tokens=False)
            compare(f"{name[4:]} tokenizer.json, {kind}", file, lines, ids, text, plain=False)


def check_parts(texts, big, folder):
    """tokenizer.json files with each part that there is, trained here."""
    from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,
                            pre_tokenizers, processors, trainers)
    n, p, d = normalizers, pre_tokenizers, decoders
    cl100k = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|"
              r"\s*[\r\n]|\s+(?!\S)|\s+")
    cased = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+%s|"
             r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*%s|\p{N}%s|"
             r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    short = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    qwen35 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| "
              r"?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    level = p.ByteLevel(add_prefix_space=False, use_regex=False)

    def split(regex, behaviour="isolated", invert=False):
        return p.Split(Regex(regex), behaviour, invert)
    byte_level = {
        "o200k": [split(cased % (short, short, "{1,3}")), level],
        "tekken": [split(cased % ("", "", "")), level],
        "qwen3.5": [split(qwen35), level], "cl100k": [split(cl100k), level],
        "prefix space": [p.ByteLevel(add_prefix_space=True)],
        "falcon": [p.Punctuation("contiguous"), p.ByteLevel(add_prefix_space=False),
                   p.Digits(individual_digits=False), split("[0-9][0-9][0-9]")],
        "deepseek-v3": [split(r"\p{N}{1,3}"), split("[一-龥぀-ゟ゠-ヿ]+"),
                        split("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"
                              r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"
                              r"\s*[\r\n]+|\s+(?!\S)|\s+"), level],
        "exaone-moe": [split(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: "
                             r"\p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"),
                       level],
        **{f"Split {b}{' inverted' * i}": [split(r"\s+|[,.]", b, bool(i)), level]
           for b in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous")
           for i in (0, 1)},
    }
    words = {
        "Whitespace": (n.Lowercase(), p.Whitespace()),
        "WhitespaceSplit": (n.Sequence([n.NFD(), n.StripAccents()]), p.WhitespaceSplit()),
        "BertPreTokenizer": (n.BertNormalizer(), p.BertPreTokenizer()),
        "Bert cased": (n.BertNormalizer(lowercase=False), p.BertPreTokenizer()),
        "CharDelimiterSplit": (n.NFKC(), p.CharDelimiterSplit(" ")),
        "Punctuation": (n.NFKD(), p.Sequence([p.WhitespaceSplit(), p.Punctuation()])),
        "UnicodeScripts": (n.NFC(), p.UnicodeScripts()),
        "Digits": (n.Strip(), p.Sequence([p.Whitespace(), p.Digits(True)])),
        "Metaspace always": (n.Replace(Regex(" {2,}"), " "), p.Metaspace()),
        "Metaspace first": (n.Nmt(), p.Metaspace(prepend_scheme="first")),
        "Metaspace never": (None, p.Metaspace(prepend_scheme="never")),
        "Metaspace whole": (None, p.Metaspace(split=False, prepend_scheme="first")),
        "Prepend": (n.Sequence([n.Prepend("▁"), n.Replace(" ", "▁")]), None),
        "bytes": (n.Sequence([n.ByteLevel()]), None),
    }
    marks = ["<|im_start|>", "<|im_end|>"]
    extra = [AddedToken("<think>", normalized=False), AddedToken("<n>", normalized=True),
             AddedToken("<l>", lstrip=True), AddedToken("<r>", rstrip=True),
             AddedToken("word", single_word=True)]
    lines = texts + ["<|im_start|>a <think> b<n>c  <l>  d <r>  e words word.", " <n>", "각 É ﬁ Ⅷ １"]
    for kind in big.values():
        lines = lines + kind[:600]
    corpus = [t for kind in ("English", "Korean", "code") for t in big[kind][:4000]]

    def check(name, tokenizer):
        tokenizer.add_special_tokens(marks)
        tokenizer.add_tokens(extra)
        file = folder / "tokenizer.json"
        tokenizer.save(str(file))
        ids = [e.ids for e in tokenizer.encode_batch(lines, add_special_tokens=False)]
        text = tokenizer.decode(list(itertools.chain(*ids)), skip_special_tokens=False)
        compare(f"tokenizer.json {name}", file, lines, ids, text, plain=False)

    for name, steps in byte_level.items():
        t = Tokenizer(models.BPE())
        t.pre_tokenizer = p.Sequence(steps)
        t.decoder = d.ByteLevel()
        t.train_from_iterator(corpus, trainers.BpeTrainer(
            vocab_size=3000, initial_alphabet=p.ByteLevel.alphabet(), show_progress=False))
        check(f"byte-level {name}", t)
    some = list(words.items())
    for i, (name, (normalizer, pre)) in enumerate(some):
        kinds = {"Unigram": (models.Unigram(), trainers.UnigramTrainer(
                     vocab_size=3000, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False),
                     d.Metaspace()),
                 "BPE": (models.BPE(unk_token="<unk>", fuse_unk=i % 2 == 0), trainers.BpeTrainer(
                     vocab_size=3000, special_tokens=["<unk>"], show_progress=False), None)}
        if not name.startswith(("Metaspace", "Prepend", "bytes")):
            kinds["WordPiece"] = (models.WordPiece(unk_token="<unk>"), trainers.WordPieceTrainer(
                vocab_size=3000, special_tokens=["<unk>"], show_progress=False), d.WordPiece())
        for kind, (model, trainer, decoder) in kinds.items():
            if kind == "Unigram" and name in ("Prepend", "bytes", "Metaspace whole"):
                continue  # its trainer takes the whole text as one word
            t = Tokenizer(model)
            if normalizer:
                t.normalizer = normalizer
            if pre:
                t.pre_tokenizer = pre
            if decoder:
                t.decoder = decoder
            elif name == "Prepend":
                t.decoder = d.Sequence([d.Replace("▁", " "), d.ByteFallback(), d.Fuse(), d.Strip(" ", 1, 0)])
            elif name == "bytes":
                t.decoder = d.ByteLevel()
            limit = 300 if name in ("Prepend", "bytes", "Metaspace whole") else len(corpus)
            t.train_from_iterator(corpus[:limit], trainer)
            check(f"{kind} {name}", t)
    # Word ends marked by a suffix, and what stands around a text.
    t = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    t.pre_tokenizer = p.Whitespace()
    t.decoder = d.BPEDecoder()
    t.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=3000, special_tokens=["<unk>"],
                                                      end_of_word_suffix="</w>", show_progress=False))
    check("BPE with </w>", t)
    for name, processor in (("BertProcessing", processors.BertProcessing(("<s>", 1), ("</s>", 2))),
                            ("RobertaProcessing", processors.RobertaProcessing(("</s>", 2), ("<s>", 1))),
                            ("TemplateProcessing", processors.Sequence(
                                [processors.ByteLevel(), processors.TemplateProcessing(
                                    "<s> $A </s>", "<s> $A $B", [("<s>", 1), ("</s>", 2)])]))):
        t = Tokenizer(models.WordLevel())
        t = Tokenizer(models.BPE())
        t.pre_tokenizer = p.ByteLevel()
        t.train_from_iterator(corpus[:500], trainers.BpeTrainer(
            vocab_size=400, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False,
            initial_alphabet=p.ByteLevel.alphabet()))
        t.post_processor = processor
        file = folder / "tokenizer.json"
        t.save(str(file))
        ours = json.loads(sllm(["-m", str(file), "--many"], json.dumps(lines[:100])))
        want = [e.ids for e in t.encode_batch(lines[:100])]
        report(ours == want, f"tokenizer.json {name}", f"{len(want)} texts with what stands around them")
    # Precompiled, from a model that sentencepiece trained above.
    charsmap = folder / "unigram.model"
    if charsmap.exists():
        from sentencepiece import sentencepiece_model_pb2
        proto = sentencepiece_model_pb2.ModelProto.FromString(charsmap.read_bytes())
        t = Tokenizer(models.Unigram([(x.piece, x.score) for x in proto.pieces], 0, False))
        t.normalizer = n.Sequence([n.Precompiled(proto.normalizer_spec.precompiled_charsmap),
                                   n.Strip(left=False), n.Replace(Regex(" {2,}"), "▁")])
        t.pre_tokenizer = p.Metaspace()
        t.decoder = d.Metaspace()
        check("Unigram Precompiled", t)


def main():
    shared = os.environ.get("SLLM_SHARED")
    if not os.environ.get("SLLM_BIN") or not shared:
        print("SKIP tokenizer_models: SLLM_BIN and SLLM_SHARED are not set")
        return 0
    try:
        import gguf  # noqa: F401
        import sentencepiece  # noqa: F401
        import tokenizers  # noqa: F401
    except ImportError as error:
        print(f"SKIP tokenizer_models: {error}")
        return 0
    data = pathlib.Path(shared, "data")
    texts = json.loads((data / "tokenizer_vectors/inputs.json").read_text())
    big = corpora(data)
    only = os.environ.get("TOKENIZER_CHECKS", "gguf sentencepiece big parts texts").split()
    if os.environ.get("PARITY_QUICK", "0") != "0":
        print("SKIP tokenizer_models: every part of tokenizer.json by itself, texts of the GGUF vocabularies: PARITY_QUICK")
        only = [check for check in only if check not in ("parts", "texts")]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        if "gguf" in only:
            check_gguf(data)
        if "sentencepiece" in only:
            check_sentencepiece(data, texts, big, folder)
            check_baichuan(data, texts, big)
        if "big" in only:
            check_big(data, big)
        if "parts" in only:
            check_parts(texts, big, folder)
        if "texts" in only:
            check_gguf_texts(data, texts, big, folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
