"""Tokenizers in the other form of model file: a Hugging Face folder's becomes GGUF, that a folder again, and each gives
the ids of the library that the first file belongs to.

Every kind: tokenizer.json (byte-level BPE, BPE with bytes, Unigram, WordPiece), tokenizer.model, tekken.json, vocab.txt.
Around each stands a llama of one layer, so that `sllm import` converts it as it converts any model. tokenizers loads the
second folder's tokenizer.json; where llama.cpp is at hand, it loads the GGUF file and its ids are counted too: they must
be the same but for the differences that docs/parity.md lists.
"""
import gzip
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.pop(0)  # this folder, whose tokenizers.py is not the library
SLLM = os.environ.get("SLLM_BIN", "")
DATA = Path(os.environ.get("SLLM_SHARED", "")) / "data"
LLAMA = Path(os.environ.get("LLAMA_BIN") or "/nonexistent") / "llama_tokens"
# Texts of which llama.cpp makes other ids (docs/parity.md): it does not bring Qwen's to NFC, nor take Hangul apart for
# BERT; for Unigram it has sentencepiece's rules where tokenizers replaces whole graphemes.
OTHER_THERE = {"qwen3": r"[\u1100-\u11ff]", "unigram": r"[\u1100-\u11ff]", "bert": r"[\u1100-\u11ff\uac00-\ud7a3]",
               "bert vocab.txt": r"[\u1100-\u11ff\uac00-\ud7a3]"}
failed = False


def report(good, text):
    global failed
    failed |= not good
    print(("PASS " if good else "FAIL ") + text, flush=True)


def run(*command, text=None):
    done = subprocess.run([str(c) for c in command], input=text, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command[:2]))}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def write_model(folder, vocabulary):
    """A llama of one layer around the tokenizer files in `folder`."""
    import torch
    from safetensors.torch import save_file
    width, mlp = 32, 64
    shapes = {"embed_tokens": (vocabulary, width), "norm": (width,), "layers.0.input_layernorm": (width,),
              "layers.0.post_attention_layernorm": (width,),
              **{f"layers.0.self_attn.{p}_proj": (width, width) for p in "qkvo"},
              "layers.0.mlp.gate_proj": (mlp, width), "layers.0.mlp.up_proj": (mlp, width),
              "layers.0.mlp.down_proj": (width, mlp)}
    save_file({f"model.{k}.weight": torch.zeros(s, dtype=torch.bfloat16) for k, s in shapes.items()},
              folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": width, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": mlp, "vocab_size": vocabulary,
        "rms_norm_eps": 1e-5, "max_position_embeddings": 64, "tie_word_embeddings": True, "torch_dtype": "bfloat16"}))


def texts():
    inputs = json.loads((DATA / "tokenizer_vectors/inputs.json").read_text(encoding="utf8"))
    lines = [x if isinstance(x, str) else x["text"] for x in (inputs if isinstance(inputs, list) else inputs.values())]
    vectors = len(lines)
    lines += (DATA / "wikitext2/wiki.test.raw").read_text(encoding="utf8").splitlines(keepends=True)[:600]
    with gzip.open(DATA / "nsmc_raw/reviews_first150k.tsv.gz", "rt", encoding="utf8") as reviews:
        lines += [line.split("\t")[-1] for line in itertools.islice(reviews, 800)]
    lines += Path(__file__).read_text(encoding="utf8").splitlines(keepends=True)
    # A special token's text is text in one program and a token in another; the vectors test it elsewhere.
    plain = [not re.search(r"<[|/]?\w+[|]?>|\[[A-Z]+\]", line) for line in lines]
    return [line for line, keep in zip(lines, plain) if keep], sum(plain[:vectors])


def ids_of(model, lines):
    return json.loads(run(SLLM, "tokenize", "-m", model, "--no-special", "--plain", "--many", text=json.dumps(lines)))


def llama_ids(model, lines):
    out = run(LLAMA, model, text="".join(line + "\0" for line in lines))
    return [[int(i) for i in line.split()] for line in out.split("\n")[:len(lines)]]


def compare(name, files, vocabulary, peer, lines, vectors, work):
    folder = work / "hf"
    folder.mkdir()
    for file, content in files.items():
        (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    write_model(folder, vocabulary)
    want = [peer(line) for line in lines]
    try:
        run(SLLM, "import", folder, work / "m.gguf", "--quiet")
        run(SLLM, "import", work / "m.gguf", work / "again", "--quiet")
        for what, model in (("GGUF", work / "m.gguf"), ("folder again", work / "again")):
            got = ids_of(model, lines)
            bad = [(t, a, b) for t, a, b in zip(lines, got, want) if a != b]
            report(not bad, f"{name} -> {what}: {len(lines) - len(bad)} of {len(lines)} texts the same")
            for text, a, b in bad[:2]:
                at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
                print(f"     {text[:60]!r} at {at}: {a[at:at + 6]}, expected {b[at:at + 6]}")
        from tokenizers import Tokenizer
        again = Tokenizer.from_file(str(work / "again/tokenizer.json"))
        got = [e.ids for e in again.encode_batch(lines, add_special_tokens=False)]
        same = sum(a == b for a, b in zip(got, want))
        report(same == len(lines), f"{name} -> folder again, read by tokenizers: {same} of {len(lines)} texts the same")
    except RuntimeError as error:
        return report(False, f"{name}: {error}")
    if not LLAMA.exists():
        return print(f"SKIP {name} in llama.cpp: its ids need the program llama_tokens, which setup.sh builds where llama.cpp is at hand")
    left_out = re.compile(OTHER_THERE.get(name, r"(?!)"))
    some = [i for i in range(vectors) if lines[i] and "\0" not in lines[i] and not left_out.search(lines[i])]
    theirs = llama_ids(work / "m.gguf", [lines[i] for i in some])
    other = [(lines[i], ids, want[i]) for i, ids in zip(some, theirs) if ids != want[i]]
    report(not other, f"{name} -> GGUF, read by llama.cpp: {len(some) - len(other)} of {len(some)} texts the same")
    for text, a, b in other[:3]:
        print(f"     {text[:60]!r}: {a[:8]}, expected {b[:8]}")


def library(file):
    from tokenizers import Tokenizer
    peer = Tokenizer.from_file(str(file))
    return peer, lambda text: peer.encode(text, add_special_tokens=False).ids


def unigram(folder, lines):
    """What transformers makes of a Unigram model with sentencepiece's nmt_nfkc rules."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2 as pb
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    corpus = folder / "corpus.txt"
    corpus.write_text("".join(line for line in lines if line.endswith("\n")))
    sentencepiece.SentencePieceTrainer.train(input=str(corpus), model_prefix=str(folder / "u"), vocab_size=2000,
                                             minloglevel=2, hard_vocab_limit=False)
    proto = pb.ModelProto()
    proto.ParseFromString((folder / "u.model").read_bytes())
    t = Tokenizer(models.Unigram([(p.piece, p.score) for p in proto.pieces], 0))
    t.normalizer = normalizers.Sequence([normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap),
                                         normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer, t.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    t.add_special_tokens(["<unk>", "<s>", "</s>"])
    t.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    t.save(str(folder / "u.json"))
    return folder / "u.json"


def bert_vocabulary():
    import gguf
    field = gguf.GGUFReader(str(DATA / "tok_ggml_vocab/ggml-vocab-bert-bge.gguf")).fields["tokenizer.ggml.tokens"]
    tokens = [bytes(field.parts[i]).decode() for i in field.data]
    plain = [t[1:] if t.startswith("▁") else t if t.startswith("[") and t.endswith("]") else "##" + t for t in tokens]
    return "\n".join(plain) + "\n", len(tokens)


def cases(folder, lines):
    for name, path, vocabulary in (("llama3", "tok_llama3_hf", 128256), ("qwen3", "tok_qwen3_hf", 151936),
                                   ("granite7b", "tok_granite7b", 32008)):
        files = {f: (DATA / path / f).read_bytes() for f in ("tokenizer.json", "tokenizer_config.json")}
        yield name, files, vocabulary, library(DATA / path / "tokenizer.json")[1]
    import sentencepiece
    llama2 = DATA / "tok_llama2/tokenizer.model"
    spm = sentencepiece.SentencePieceProcessor(model_file=str(llama2))
    yield "llama2 tokenizer.model", {"tokenizer.model": llama2.read_bytes()}, 32000, spm.encode
    path = unigram(folder, lines)
    peer, encode = library(path)
    config = json.dumps({"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"})
    yield "unigram", {"tokenizer.json": path.read_bytes(), "tokenizer_config.json": config}, peer.get_vocab_size(), encode
    from tokenizers.implementations import BertWordPieceTokenizer
    vocabulary, size = bert_vocabulary()
    (folder / "vocab.txt").write_text(vocabulary)
    bert = BertWordPieceTokenizer(str(folder / "vocab.txt"))
    bert.save(str(folder / "bert.json"))
    encode = library(folder / "bert.json")[1]
    yield "bert", {"tokenizer.json": (folder / "bert.json").read_bytes(),
                   "tokenizer_config.json": '{"pad_token": "[PAD]"}'}, size, encode
    yield "bert vocab.txt", {"vocab.txt": vocabulary}, size, encode
    try:
        import mistral_common
        from mistral_common.tokens.tokenizers.tekken import Tekkenizer
    except ImportError as error:
        return print(f"SKIP tekken: the peer and its file are mistral-common's, which is not installed ({error})")
    file = Path(mistral_common.__file__).parent / "data/tekken_240911.json"
    tekken = Tekkenizer.from_file(str(file))
    yield ("tekken.json", {"tekken.json": file.read_bytes()}, tekken.n_words,
           lambda text: tekken.encode(text, bos=False, eos=False))


def main():
    if not SLLM or not DATA.exists():
        print("SKIP tokenizer_convert: it needs our program (SLLM_BIN) and the published tokenizers in SLLM_SHARED/data")
        return 0
    try:
        import gguf, safetensors, sentencepiece, tokenizers, torch  # noqa: F401
    except ImportError as e:
        print(f"SKIP tokenizer_convert: the peers are Python packages, of which one is not installed ({e})")
        return 0
    lines, vectors = texts()
    with tempfile.TemporaryDirectory(prefix="sllm-tokenizers-") as folder:
        for i, (name, files, vocabulary, peer) in enumerate(cases(Path(folder), lines)):
            work = Path(folder) / str(i)
            work.mkdir()
            compare(name, files, vocabulary, peer, lines, vectors, work)
            subprocess.run(["rm", "-rf", str(work)])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
