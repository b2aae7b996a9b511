"""Logits and greedy continuations in exact mode beside transformers in float32, on 50 prompts.

Tolerance: transformers against itself in another order of float32 sums (eager and sdpa) moves logits by
about 1.2e-4, so 5e-4 leaves room for a third order and none for a mistake. Each token of a greedy continuation
must be the one that transformers finds best after the same tokens, or one whose logit is within 1e-3 of it.
What we compute must be the same bits alone, in a batch of 8 unequal prompts, in chunks, on 1 and 2 threads.
PARITY_QUICK=1 takes the smaller model alone.
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.pop(0)  # the files beside this one are not the libraries of the same name
SLLM = os.environ.get("SLLM_BIN", "")
MODELS = Path(os.environ.get("SLLM_MODELS", ""))
SHARED = Path(os.environ.get("SLLM_SHARED", ""))
FOLDERS = {  # Hugging Face folder -> the GGUF it is made from when it is missing
    "hf-smollm2": "smollm2-135m-instruct.Q4_1.gguf",
    "hf-qwen0.5b": "qwen2.5-coder-0.5b-instruct.Q4_K_M.gguf",
}
TOLERANCE, NEAR_TIE, NEW_TOKENS = 5e-4, 1e-3, 64
QUICK = os.environ.get("PARITY_QUICK", "0") != "0"

ENGLISH = [
    "The capital of France is",
    "Once upon a time, in a village by the sea,",
    "def fibonacci(n):\n    ",
    "Water boils at",
    "Dear Sir or Madam,\n\nI am writing to",
    "The three laws of motion were stated by",
    "To make pancakes you need flour, eggs and",
    "Q: What is 17 + 25?\nA:",
    "The quick brown fox",
    "In 1969, humans first",
    "A linked list is a data structure in which",
    "#include <stdio.h>\n\nint main(",
    "The mitochondria is the",
    "My favourite season is autumn because",
    "SELECT name, age FROM users WHERE",
    "Turn on the lights in the",
    "The difference between weather and climate is that",
    "She opened the door and",
    "1, 1, 2, 3, 5, 8,",
    "Photosynthesis converts",
    "I",
    "{\"name\": \"Ann\", \"age\":",
    "The meeting has been moved from Tuesday to",
    "What happens when you mix red and blue?",
    "The old clockmaker had repaired every clock in the town but one. It hung above the counter of the bakery, "
    "and nobody could remember the last time its hands had moved. One morning in March, before the bread came "
    "out of the oven, it struck seven. The baker looked up, and",
]
KOREAN = [
    "대한민국의 수도는",
    "옛날 옛적에 어느 마을에",
    "물은 섭씨 100도에서",
    "안녕하세요. 저는",
    "오늘 날씨가",
    "김치찌개를 끓이려면 먼저",
    "세종대왕은 한글을",
    "거실 불을 켜",
    "질문: 3 더하기 4는?\n답:",
    "인공지능이란",
    "서울에서 부산까지",
    "봄이 오면",
    "이 문서의 목적은",
    "연차 휴가를 신청하려면",
    "컴퓨터는",
    "한국의 전통 음식에는",
    "지구는 태양 주위를",
    "친구에게 편지를 쓴다. 친구야,",
    "회의는 오후 3시에",
    "가나다라마바사",
    "독서는 마음의 양식이다. 그러므로",
    "버스를 타고",
    "카드를 분실하면",
    "행복이란 무엇인가?",
    "할머니는 매일 아침 일찍 일어나 마당을 쓸고 닭에게 모이를 주셨다. 그날도 다르지 않았다. 그러나 닭장 문을 여는 순간 "
    "할머니는 그 자리에 멈춰 서고 말았다.",
]


def skip(reason):
    print(f"SKIP logits: {reason}")
    sys.exit(0)


def folder(name):
    path = MODELS / name
    if (path / "config.json").exists():
        return path
    tool = SHARED / "tools/gguf_to_hf.py"
    if not (MODELS / FOLDERS[name]).exists() or not tool.exists():
        return None
    subprocess.run([sys.executable, str(tool), str(MODELS), FOLDERS[name], str(path)], check=True,
                   stdout=subprocess.DEVNULL)
    return path


def ours(work, model, ids, *flags):
    """Logits [prompts, V] of the last positions."""
    import numpy as np
    prompts, out = work / "ids.json", work / "logits.npy"
    prompts.write_text(json.dumps(ids))
    out.unlink(missing_ok=True)
    subprocess.run([SLLM, "logits", "-m", str(model), "--mode", "exact", "--ids-file", str(prompts), "-o", str(out),
                    "-q", *flags], check=True)
    return np.load(out)


def our_continuations(work, model, ids, *flags):
    prompts = work / "ids.json"
    prompts.write_text(json.dumps(ids))
    out = subprocess.run([SLLM, "complete", "-m", str(model), "--mode", "exact", "--ids-file", str(prompts), "-n",
                          str(NEW_TOKENS), "--temp", "0", "--ignore-eos", "--json", "-q", *flags],
                         check=True, stdout=subprocess.PIPE).stdout
    return [r["token_ids"] for r in json.loads(out)["results"]]


def follow(model, prompt, continuation):
    """How far each token's logit lies below transformers' best one after the same tokens (0: it is the best).

    One forward over prompt and our continuation shows its logits at every position at once."""
    import torch
    with torch.no_grad():
        logits = model(torch.tensor([prompt + continuation[:-1]])).logits[0, len(prompt) - 1:]
    chosen = logits.gather(1, torch.tensor(continuation)[:, None])[:, 0]
    return (logits.max(dim=1).values - chosen).tolist()


def check(name, path, work):
    import numpy as np
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(2)
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    ids = [tokenizer(text)["input_ids"] for text in ENGLISH + KOREAN]
    with torch.no_grad():
        theirs = np.stack([model(torch.tensor([x])).logits[0, -1].numpy() for x in ids])

    mine = ours(work, path, ids, "--threads", "2")
    worst = float(np.abs(mine - theirs).max()) if mine.shape == theirs.shape else float("nan")
    good = report(f"{name} logits", worst <= TOLERANCE, f"max |difference| {worst:.2e} (at most {TOLERANCE:.0e})")

    for label, flags in {
        "in batches of 8": ["--batch", "8", "--threads", "2"],
        "in chunks of 7": ["--chunk", "7", "--threads", "2"],
        "batches of 8 in chunks of 5": ["--batch", "8", "--chunk", "5", "--threads", "2"],
        "on one thread": ["--threads", "1"],
    }.items():
        same = ours(work, path, ids, *flags).tobytes() == mine.tobytes()
        good &= report(f"{name} {label}", same, "the same bits" if same else "other bits")

    alone = our_continuations(work, path, ids, "--threads", "2", "--batch", "1")
    together = our_continuations(work, path, ids, "--threads", "2", "--batch", "8")
    good &= report(f"{name} continuations in a batch of 8", alone == together, "the same tokens")
    lengths = sorted({len(c) for c in alone})
    if not report(f"{name} continuations' length", len(alone) == len(ids) and lengths == [NEW_TOKENS],
                  f"{len(alone)} of {lengths} tokens, {len(ids)} of {NEW_TOKENS} wanted"):
        return False
    gaps = [follow(model, prompt, continuation) for prompt, continuation in zip(ids, alone)]
    equal = sum(not any(g) for g in gaps)
    wrong = [(i, next((p, gap) for p, gap in enumerate(g) if not gap < NEAR_TIE)) for i, g in enumerate(gaps)
             if not all(gap < NEAR_TIE for gap in g)]
    return good & report(f"{name} continuations", not wrong and len(gaps) == len(ids),
                         f"{equal} of {len(ids)} equal over {NEW_TOKENS} tokens, {len(ids) - equal - len(wrong)} part at a near tie"
                         + (f", others (prompt, (position, gap)): {wrong}" if wrong else ""))


def report(name, good, figure):
    print(f"{'PASS' if good else 'FAIL'} {name}: {figure}", flush=True)
    return good


def main():
    if not SLLM:
        skip("SLLM_BIN is not set")
    try:
        import torch, transformers  # noqa: F401
    except ImportError as e:
        skip(f"{e.name} is not installed")
    good, any_model = True, False
    with tempfile.TemporaryDirectory() as work:
        for name in FOLDERS:
            if QUICK and name != "hf-smollm2":
                print(f"SKIP logits {name}: PARITY_QUICK")
                continue
            path = folder(name)
            if path is None:
                print(f"SKIP logits {name}: not in SLLM_MODELS and not to be made from its GGUF")
                continue
            any_model = True
            good &= check(name, path, Path(work))
    if not any_model:
        skip("no model")
    sys.exit(0 if good else 1)


main()
