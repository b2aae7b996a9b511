"""Real models through every format and back, and the gate at each border.

GGUF as published -> Hugging Face folder (BF16) -> GGUF -> folder again -> GGUF F32 -> Q8_0 and Q4_K_M, and an
adapter on its base beside the merged model: `sllm check` passes at each border (exit 0), finds a model that is
another (exit 7). The same 50 greedy answers come from the folder, the BF16 GGUF file in exact mode and the server
(exact too), and transformers, which reads the same folder in float32, finds the same tokens the likeliest, but for
ties within 1e-3.

GATE_MODELS=all takes the 1.5B model too (slow); by default SmolLM2-135M and Qwen2.5-Coder-0.5B.
"""
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

sys.path.pop(0)  # the files beside this one are not the libraries of the same name
SLLM = os.environ.get("SLLM_BIN", "")
MODELS = Path(os.environ.get("SLLM_MODELS", ""))
FILES = {"smollm2-135m": "smollm2-135m-instruct.Q4_1.gguf",
         "qwen2.5-coder-0.5b": "qwen2.5-coder-0.5b-instruct.Q4_K_M.gguf"}
if os.environ.get("GATE_MODELS") == "all":
    FILES["qwen2.5-coder-1.5b"] = "qwen2.5-coder-1.5b-instruct.Q4_K_M.gguf"
ANSWERS, TOKENS = 50, int(os.environ.get("GATE_TOKENS", "24"))
NEAR = 1e-3  # logits; torch's and our f32 sums differ by 1e-5 of a range of about 40 (logits.py)

failed = False


def report(good, text):
    global failed
    failed = failed or not good
    print(("PASS " if good else "FAIL ") + text, flush=True)


def run(*command, code=0):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != code:
        raise SystemExit(f"FAIL {' '.join(map(str, command[:4]))}: exit {done.returncode}, not {code}: "
                         f"{done.stdout[-300:]}{done.stderr[-600:]}")
    return done.stdout


def check(name, a, b, *flags, bound=None):
    done = subprocess.run([SLLM, "check", str(a), str(b), "--json", "--quiet", *map(str, flags)],
                          capture_output=True, text=True)
    if done.returncode not in (0, 7):
        return report(False, f"{name}: exit {done.returncode}: {done.stderr[-400:]}")
    r = json.loads(done.stdout)
    text = (f"{name}: bound {r['bound']['kind']}, tokens {r['conversations_equal']}/{r['conversations']}, "
            f"KLD {r['kld']:.3g} (allowed {r['bound']['kld']:g}), logits {r['delta']:.2g} of their range "
            f"(allowed {r['bound']['delta']:g}), answers {r['answers_equal']}/{r['answers']} and "
            f"{r['answers_tied']} near ties")
    differing = [f"{c['what']}: {c['found']}" for c in r["checks"] if c["verdict"] == "differs"]
    right = done.returncode == 0 and (bound is None or r["bound"]["kind"] == bound)
    report(right, text + ("; " + "; ".join(differing) if differing else ""))


def questions():
    asked = ["What is {}?", "Write one sentence about {}.", "{}에 대해 한 문장으로 설명해 주세요.",
             "Write a Python function that handles {}.", "{}의 예를 세 가지 말해 주세요."]
    things = ["a lighthouse", "김치", "binary search", "the moon", "기차", "a prime number", "friendship", "서울",
              "JSON", "rain"]
    return [q.replace("{}", thing) for thing in things for q in asked]


def answers_of_file(model, prompts, work):
    """One result for each list of token ids, 8 written at a time."""
    ids = work / "prompts.json"
    ids.write_text(json.dumps(prompts))
    out = run(SLLM, "complete", "-m", model, "--mode", "exact", "--ids-file", ids, "-n", TOKENS, "--temp", "0",
              "--batch", "8", "--json", "--quiet")
    return json.loads(out)["results"]


class Server:
    def __init__(self, model):
        self.process = subprocess.Popen([SLLM, "serve", "-m", str(model), "--port", "0", "--mode", "exact",
                                         "--context", "1024", "--json"], stdout=subprocess.PIPE, text=True)
        self.about = json.loads(self.process.stdout.readline())

    def chat(self, text):
        body = {"messages": [{"role": "user", "content": text}], "max_tokens": TOKENS, "temperature": 0}
        request = urllib.request.Request(self.about["url"] + "/v1/chat/completions", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=600) as reply:
            return json.load(reply)["choices"][0]["message"]["content"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)


def write_adapter(folder, config):
    """A random LoRA adapter on two kinds of matrices, large enough to change answers."""
    import torch
    from safetensors.torch import save_file
    torch.manual_seed(1)
    width, mlp, heads = config["hidden_size"], config["intermediate_size"], config["num_attention_heads"]
    out_q = heads * (config.get("head_dim") or width // heads)
    tensors = {}
    for i in range(config["num_hidden_layers"]):
        for name, rows, cols in (("self_attn.q_proj", out_q, width), ("mlp.down_proj", width, mlp)):
            key = f"base_model.model.model.layers.{i}.{name}.lora_"
            tensors[key + "A.weight"], tensors[key + "B.weight"] = torch.randn(8, cols) * .02, torch.randn(rows, 8) * .02
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(
        {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "down_proj"]}))


def formats(name, file, work):
    folder, bf16, f32 = work / "folder", work / "bf16.gguf", work / "f32.gguf"
    run(SLLM, "import", file, folder, "--type", "bf16", "--quiet")
    check(f"{name}: GGUF as published -> folder", file, folder, bound="bf16")
    run(SLLM, "import", folder, bf16, "--quiet")
    check(f"{name}: folder -> GGUF", folder, bf16, bound="exact")
    run(SLLM, "import", bf16, work / "again", "--quiet")
    check(f"{name}: GGUF -> folder", bf16, work / "again", bound="exact")
    same = (folder / "model.safetensors").read_bytes() == (work / "again/model.safetensors").read_bytes()
    report(same, f"{name}: folder -> GGUF -> folder: the weights are the same file")
    run(SLLM, "import", folder, f32, "--type", "f32", "--quiet")
    check(f"{name}: folder -> F32 GGUF", folder, f32, bound="exact")
    f32.unlink()
    for kind in ("q8_0", "q4_k"):
        made = work / f"{kind}.gguf"
        run(SLLM, "quantize", bf16, made, "--type", kind, "--quiet")
        check(f"{name}: BF16 -> {kind}", bf16, made, bound=kind)
    run(SLLM, "import", work / "q8_0.gguf", work / "from_q8_0", "--quiet")
    check(f"{name}: q8_0 -> folder", work / "q8_0.gguf", work / "from_q8_0", bound="bf16")
    return folder, bf16


def adapters(name, folder, work):
    write_adapter(work / "adapter", json.loads((folder / "config.json").read_text()))
    for kind, bound in (("f32", "f32"), ("bf16", "bf16")):
        merged = work / f"merged-{kind}.gguf"
        run(SLLM, "merge", folder, work / "adapter", merged, "--type", kind, "--quiet")
        check(f"{name}: base+adapter -> merged {kind}", f"{folder}+{work / 'adapter'}", merged, bound=bound)
    found = subprocess.run([SLLM, "check", folder, merged, "--quiet"], capture_output=True, text=True)
    report(found.returncode == 7 and "not the same model" in found.stderr,
           f"{name}: the base beside the merged model: exit {found.returncode}")


def answers(name, folder, bf16, work):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    asked = questions()
    assert len(asked) == ANSWERS
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompts = [tokenizer.apply_chat_template([{"role": "user", "content": q}], add_generation_prompt=True,
                                             tokenize=True, return_dict=False) for q in asked]
    of_folder, of_file = (answers_of_file(model, prompts, work) for model in (folder, bf16))
    same = sum(a["token_ids"] == b["token_ids"] for a, b in zip(of_folder, of_file))
    report(same == ANSWERS, f"{name}: {same} of {ANSWERS} greedy answers of {TOKENS} tokens are the same from the "
                            f"folder and the BF16 GGUF file")
    with Server(bf16) as server:
        check(f"{name}: file -> server", bf16, server.about["url"], bound="f32")
        texts = [server.chat(q) for q in asked]
    same = sum(a["text"] == t for a, t in zip(of_folder, texts))
    report(same == ANSWERS, f"{name}: {same} of {ANSWERS} are the same from the server (its own template)")
    # Every token of ours must be the likeliest for transformers too, given the same tokens before it.
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokens, ties, worst = 0, 0, 0.0
    with torch.no_grad():
        for prompt, answer in zip(prompts, of_folder):
            ids = answer["token_ids"]
            logits = model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1:-1]
            margins = logits.max(-1).values - logits.gather(-1, torch.tensor(ids)[:, None])[:, 0]
            tokens, ties = tokens + len(ids), ties + int((margins > 0).sum())
            worst = max(worst, margins.max().item())
    report(worst <= NEAR, f"{name}: transformers finds {tokens - ties} of {tokens} of these tokens the likeliest, the "
                          f"others {worst:.1e} below it at most")


def main():
    if not SLLM or not os.environ.get("SLLM_MODELS"):
        print("SKIP gate: SLLM_BIN or SLLM_MODELS is missing")
        return 0
    try:
        import safetensors, torch, transformers  # noqa: F401
    except ImportError as e:
        print(f"SKIP gate: {e}")
        return 0
    for name, file in FILES.items():
        if not (MODELS / file).exists():
            print(f"SKIP gate: {file} is not in SLLM_MODELS")
            continue
        with tempfile.TemporaryDirectory(prefix="sllm-gate-") as work:
            work = Path(work)
            folder, bf16 = formats(name, MODELS / file, work)
            adapters(name, folder, work)
            answers(name, folder, bf16, work)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
