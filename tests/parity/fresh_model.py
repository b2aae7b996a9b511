"""A model of `sllm init` in transformers: it loads, has as many parameters as we say, is drawn as LlamaForCausalLM draws
its own weights, and gives the same logits as `sllm logits` in exact mode; its chat template makes the same tokens.

Tolerance of the logits: 1e-5 of their range, the bound of architectures.py. Tolerance of the draw: mean and deviation of
each matrix lie within five standard errors of those that transformers asks for (0 and initializer_range), for our
weights and for its own.
"""
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.pop(0)  # the files beside this one are not the libraries of the same name
SLLM = os.environ.get("SLLM_BIN", "")
DATA = Path(os.environ.get("SLLM_SHARED", "")) / "data"
failed = False


def report(good, text):
    global failed
    failed |= not good
    print(("PASS " if good else "FAIL ") + text, flush=True)


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command[:2]))}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def worst_draw(model, deviation):
    """The largest distance of a matrix's mean and deviation from what was asked for, in standard errors."""
    worst = 0.0
    for name, p in model.named_parameters():
        if p.dim() < 2:
            if not (p == 1).all():
                return math.inf
            continue
        n = p.numel()
        worst = max(worst, abs(p.double().mean().item()) / (deviation / math.sqrt(n)),
                    abs(p.double().std().item() - deviation) / (deviation / math.sqrt(2 * n)))
    return worst


def compare(name, folder, said):
    import numpy as np
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32).eval()
    report(model.num_parameters() == said["parameters"], f"{name}: {model.num_parameters()} parameters, as we say")
    config = AutoConfig.from_pretrained(str(folder))
    torch.manual_seed(0)
    for what, drawn in (("ours", model), ("transformers' own", AutoModelForCausalLM.from_config(config))):
        worst = worst_draw(drawn, config.initializer_range)
        report(worst < 5, f"{name}: weights drawn as {what}, {worst:.2f} standard errors away at most")
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    texts = ["The capital of France is", "대한민국의 수도는 서울", "def f(x):\n    return x", "x"]
    ids = [tokenizer(t, add_special_tokens=False)["input_ids"] for t in texts]
    (folder.parent / "ids.json").write_text(json.dumps(ids))
    out = folder.parent / "logits.npy"
    run(SLLM, "logits", "-m", folder, "--mode", "exact", "--ids-file", folder.parent / "ids.json", "-o", out, "-q")
    ours = np.load(out)
    with torch.no_grad():
        theirs = np.stack([model(torch.tensor([i])).logits[0, -1].numpy() for i in ids])
    difference, bound = np.abs(ours - theirs).max(), 1e-5 * (theirs.max() - theirs.min())
    report(difference <= bound, f"{name}: logits differ by at most {difference:.2e}, bound {bound:.2e}")


def same_conversation(name, folder):
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    messages = [{"role": "user", "content": "안녕하세요! How many days?"}, {"role": "assistant", "content": "15일입니다."}]
    path = folder.parent / "messages.json"
    path.write_text(json.dumps(messages, ensure_ascii=False))
    ours = json.loads(run(SLLM, "template", "-m", folder, "--messages", path, "--json"))
    want = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False)
    report(ours["token_ids"] == want, f"{name}: a conversation becomes the same {len(want)} tokens")
    report(tokenizer.eos_token == "<|endoftext|>", f"{name}: <|endoftext|> ends a text")


def main():
    if not SLLM or not (DATA / "books_en").is_dir():
        print("SKIP fresh_model: SLLM_BIN and SLLM_SHARED are not set")
        return 0
    try:
        import transformers  # noqa: F401
    except ImportError:
        print("SKIP fresh_model: transformers is not installed")
        return 0
    sizes = {"tied": ["--hidden", 128, "--layers", 3, "--heads", 4, "--kv-heads", 2, "--ffn", 320, "--tied"],
             "untied": ["--hidden", 192, "--layers", 2, "--heads", 6, "--context", 512, "--seed", 7]}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for kind, (name, flags) in zip(("bpe", "unigram"), sizes.items()):
            run(SLLM, "tokenizer", "train", DATA / "books_en/11-0.txt", DATA / "konlpy_corpus_ko/constitution.txt", "-o",
                folder / kind, "--vocab", 2000, "--kind", kind, "--chatml", "--quiet")
            said = json.loads(run(SLLM, "init", folder / kind, folder / name, *flags, "--json", "--quiet"))
            compare(f"{name}, {kind}", folder / name, said)
            same_conversation(f"{name}, {kind}", folder / name)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
