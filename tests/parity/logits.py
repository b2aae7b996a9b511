"""Logits and greedy continuations in exact mode beside transformers in float32, on 50 prompts.

Tolerance: transformers against itself in another order of float32 sums (eager and sdpa) moves logits by
about 1.2e-4, so 5e-4 leaves room for a third order and none for a mistake. Greedy continuations must be
equal as long as transformers' own two best logits are at least 1e-3 apart.
What we compute must be the same bits alone, in a batch of 8 unequal prompts, in chunks, on 1 and 2 threads.
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SLLM = os.environ.get("SLLM_BIN", "")
MODELS = Path(os.environ.get("SLLM_MODELS", ""))
SHARED = Path(os.environ.get("SLLM_SHARED", ""))
FOLDERS = {  # Hugging Face folder -> the GGUF it is made from when it is missing
    "hf-smollm2": "smollm2-135m-instruct.Q4_1.gguf",
    "hf-qwen0.5b": "qwen2.5-coder-0.5b-instruct.Q4_K_M.gguf",
}
TOLERANCE, NEAR_TIE, NEW_TOKENS = 5e-4, 1e-3, 64

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
    """Where transformers would first have chosen another token, and how far apart its best two were there.

    One forward over prompt and our continuation shows its greedy choice at every position at once."""
    import torch
    with torch.no_grad():
        logits = model(torch.tensor([prompt + continuation[:-1]])).logits[0, len(prompt) - 1:]
    top = logits.topk(2)
    for i, token in enumerate(continuation):
        if top.indices[i, 0].item() != token:
            return i, (top.values[i, 0] - top.values[i, 1]).item()
    return None, None


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
    worst = float(np.abs(mine - theirs).max())
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
    equal, ties, wrong = 0, 0, []
    for i, (prompt, continuation) in enumerate(zip(ids, alone)):
        position, gap = follow(model, prompt, continuation)
        if position is None:
            equal += 1
        elif gap < NEAR_TIE:
            ties += 1
        else:
            wrong.append((i, position, round(gap, 5)))
    return good & report(f"{name} continuations", not wrong,
                         f"{equal} of {len(ids)} equal over {NEW_TOKENS} tokens, {ties} part at a near tie"
                         + (f", others (prompt, position, gap): {wrong}" if wrong else ""))


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
