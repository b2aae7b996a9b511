"""Every architecture against transformers, made afresh: a tiny random model of each, in float32.

Our tests (src/models/architecture_test.cc) read the new goldens: logits within 1e-5 of their range, gradients of all
weights and of LoRA within 1e-4, ten losses within 5e-6, the same bits in every cut of the sequence, folder -> GGUF ->
folder. Then transformers loads the folder that came back: the same logits, within 1e-5 of their range (the norms of
Gemma, which GGUF keeps with 1 added, lose what lies below float32's last place of 1).
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.pop(0)  # the files beside this one are not the libraries of the same name
ROOT = Path(__file__).parents[2]
SLLM = Path(os.environ.get("SLLM_BIN", ROOT / "build/release/sllm"))
sys.path.append(str(ROOT / "tests/golden"))


def report(good, text):
    print(("PASS " if good else "FAIL ") + text, flush=True)


def run(*command, **environment):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, env=os.environ | environment)


def unit_tests(folder):
    tests = SLLM.parent / "sllm_models_test"
    if not tests.exists():
        return print("SKIP architectures: sllm_models_test is not built beside the program")
    done = run(tests, "--gtest_filter=Goldens/*", SLLM_ARCHITECTURE_GOLDENS=str(folder))
    failed = [line.split(",")[0] for line in done.stdout.splitlines() if line.startswith("[  FAILED  ] Goldens")]
    passed = done.stdout.count("[       OK ] Goldens")
    report(done.returncode == 0 and passed > 0 and not failed,
           f"fresh goldens: {passed} checks of {len(list(folder.iterdir()))} models hold" +
           (f"; not {sorted(set(failed))[:5]}" if failed else ""))


def comes_back(name, golden, work):
    import torch
    import make_architecture_goldens as goldens
    from transformers import AutoModel, AutoModelForCausalLM
    made = AutoModel if name in goldens.POOLING else AutoModelForCausalLM
    for source, target in ((golden, work / "m.gguf"), (work / "m.gguf", work / "back")):
        done = run(SLLM, "import", source, target, "--type", "f32")
        if done.returncode:
            return report(False, f"{name}: import {target.name}: {done.stderr[-300:]}")
    ids = torch.arange(3, 43)[None]
    with torch.no_grad():
        ours, theirs = (made.from_pretrained(f, dtype=torch.float32, attn_implementation="eager")(ids)[0]
                        for f in (work / "back", golden))
    far, spread = (ours - theirs).abs().max().item(), (theirs.max() - theirs.min()).item()
    report(far <= 1e-5 * spread, f"{name}: transformers reads our folder back from GGUF, logits within {far:.1e} of {spread:.1f}")


def main():
    try:
        import make_architecture_goldens as goldens
    except ImportError as error:
        return print(f"SKIP architectures: {error}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "goldens"
        for name in goldens.MODELS:
            goldens.make(name, folder)
        unit_tests(folder)
        for name in goldens.MODELS:
            if name == "exaone":
                print("SKIP exaone: transformers does not know EXAONE 3")
                continue
            work = Path(temporary) / name
            work.mkdir()
            try:
                comes_back(name, folder / name, work)
            except Exception as error:  # what transformers makes of our folder
                report(False, f"{name}: {type(error).__name__}: {error}")


main()
