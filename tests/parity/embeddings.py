"""Vectors of texts against sentence-transformers: tiny random encoders (tests/golden/make_architecture_goldens.py), whose
folders we read as they are, as GGUF, and as the folder that came back from it. Every number within 1e-5 of the range.
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.pop(0)  # the files beside this one are not the libraries of the same name
ROOT = Path(__file__).parents[2]
SLLM = Path(os.environ.get("SLLM_BIN", ROOT / "build/release/sllm"))
GOLDENS = ROOT / "tests/golden/architectures"
TEXTS = ["ABC", "A(b)C:D", "01234567890123456789", "ABBA", "/"]  # of the goldens' 48 characters


def report(good, text):
    print(("PASS " if good else "FAIL ") + text, flush=True)


def run(*command, **options):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)


def ours(model):
    done = run(SLLM, "embed", "-m", model, input="".join(t + "\n" for t in TEXTS))
    if done.returncode:
        raise SystemExit(f"FAIL sllm embed -m {model}: {done.stderr[-300:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def main():
    try:
        from sentence_transformers import SentenceTransformer
        from transformers import PreTrainedTokenizerFast
    except ImportError as error:
        return print(f"SKIP embeddings: {error}")
    for golden in sorted(p.parent for p in GOLDENS.glob("*/modules.json")):
        with tempfile.TemporaryDirectory() as temporary:
            work = Path(temporary)
            folder = work / golden.name
            run("cp", "-r", golden, folder)
            tokenizer = json.loads((folder / "tokenizer.json").read_text())
            tokenizer["decoder"] = tokenizer["pre_tokenizer"]  # with all its fields, as tokenizers wants it
            (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
            PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), pad_token="\"").save_pretrained(folder)
            peer = SentenceTransformer(str(folder), device="cpu")
            vectors = [peer.encode(text).tolist() for text in TEXTS]
            for source, target in ((folder, work / "m.gguf"), (work / "m.gguf", work / "back")):
                done = run(SLLM, "import", source, target, "--type", "f32")
                if done.returncode:
                    return report(False, f"{golden.name}: import {target.name}: {done.stderr[-300:]}")
            for model in (folder, work / "m.gguf", work / "back"):
                pairs = [(a, b) for x, y in zip(ours(model), vectors, strict=True) for a, b in zip(x, y, strict=True)]
                far, spread = max(abs(a - b) for a, b in pairs), max(b for _, b in pairs) - min(b for _, b in pairs)
                report(far <= 1e-5 * spread, f"{golden.name}, {model.name}: {len(pairs)} numbers within {far:.1e} of {spread:.1f}")


main()
