"""Conversions beside transformers and PEFT: our Hugging Face folders load and say the same, ours merges
as PEFT merges.

Tokens of 171 inputs and the chat template must be equal. Logits of our folder against transformers' own
reading of the GGUF file: both hold the same BF16 weights, so 0. Merged weights against PEFT's
merge_and_unload in float32: the same sums in another order, within 1e-5.
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
MODELS = Path(os.environ.get("SLLM_MODELS", ""))
SHARED = Path(os.environ.get("SLLM_SHARED", ""))
FILE = "smollm2-135m-instruct.Q4_1.gguf"


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"FAIL {' '.join(map(str, command[:3]))}: {done.stderr[-600:]}")


def report(good, text):
    print(("PASS " if good else "FAIL ") + text)
    return good


def folder_loads(folder):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    theirs = AutoModelForCausalLM.from_pretrained(MODELS, gguf_file=FILE, dtype=torch.float32)
    ours = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    for parameter in (*theirs.parameters(), *ours.parameters()):
        parameter.data = parameter.data.bfloat16().float()
    ids = torch.tensor([[504, 3575, 282, 4649, 314]])
    with torch.no_grad():
        worst = (theirs(ids).logits - ours(ids).logits).abs().max().item()
    good = report(worst == 0, f"folder: logits differ by {worst} from transformers' reading of the GGUF file")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    reference = AutoTokenizer.from_pretrained(MODELS, gguf_file=FILE)
    inputs = json.loads((SHARED / "data/tokenizer_vectors/inputs.json").read_text(encoding="utf8"))
    texts = [x if isinstance(x, str) else x["text"] for x in (inputs if isinstance(inputs, list) else inputs.values())]
    # transformers drops SmolLM's digit splitter when it reads GGUF, so digits are left out here.
    texts = [t for t in texts if not any(c.isdigit() for c in t)]
    different = [t for t in texts if tokenizer(t).input_ids != reference(t).input_ids]
    good &= report(not different, f"folder: {len(texts) - len(different)} of {len(texts)} texts give the same tokens")
    chat = [{"role": "user", "content": "안녕 hello"}]
    same = tokenizer.apply_chat_template(chat, tokenize=False) == reference.apply_chat_template(chat, tokenize=False)
    return report(same, "folder: the chat template renders the same") and good


def merges_alike(folder, work):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM
    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj", "down_proj"],
                                            task_type="CAUSAL_LM"))
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data.normal_(0, 0.05)
    model.save_pretrained(work / "adapter")
    merged = model.merge_and_unload().state_dict()
    run(SLLM, "merge", folder, work / "adapter", work / "merged", "--type", "f32", "--quiet")
    ours = AutoModelForCausalLM.from_pretrained(work / "merged", dtype=torch.float32).state_dict()
    if merged.keys() != ours.keys():
        return report(False, f"merge: other tensors: {sorted(merged.keys() ^ ours.keys())[:6]}")
    differences = [(merged[k] - ours[k]).abs().max().item() for k in merged]
    worst = max(differences) if all(map(math.isfinite, differences)) else math.nan  # max() passes over NaN
    return report(worst <= 1e-5,
                  f"merge: weights differ by at most {worst:.1e} from PEFT's merge_and_unload")


def main():
    if not SLLM or not (MODELS / FILE).exists() or not os.environ.get("SLLM_SHARED"):
        print(f"SKIP convert: SLLM_BIN, SLLM_SHARED or {FILE} in SLLM_MODELS is missing")
        return 0
    try:
        import peft, torch, transformers  # noqa: F401
    except ImportError as e:
        print(f"SKIP convert: {e}")
        return 0
    with tempfile.TemporaryDirectory(prefix="sllm-convert-") as work:
        work = Path(work)
        run(SLLM, "import", MODELS / FILE, work / "hf", "--quiet")
        good = folder_loads(work / "hf")
        run(SLLM, "import", work / "hf", work / "back.gguf", "--quiet")
        run(SLLM, "import", work / "back.gguf", work / "again", "--quiet")
        same = (work / "hf/model.safetensors").read_bytes() == (work / "again/model.safetensors").read_bytes()
        good &= report(same, "folder -> GGUF -> folder: the weights are the same file")
        return 0 if merges_alike(work / "hf", work) and good else 1


if __name__ == "__main__":
    sys.exit(main())
