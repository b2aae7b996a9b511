"""Tuning by `sllm tune` beside transformers with PEFT, beside plain torch, and beside the limit of the machine.

Both sides do equal work: the same weights and rows in the same order, the same batches, LoRA of rank 16 on all linears but
the head, AdamW without clipping at a constant rate. Speed is that of the steps after the first, which also reads the
weights in; memory is VmHWM of the whole process. That the work is equal is measured too: as many numbers are trained, and
the first step's loss, which is the base's own, is the same. Later losses part where our bf16 meets a peer in F32: a full
tuning's first updates are smaller than bf16 resolves.

What stays in memory for a trained weight:

    LoRA, both sides           F32 master, F32 gradient, two F32 moments
    full, autocast             the same; rounded to bf16 for every matrix product, as by `sllm tune --full --mode bf16`
    full, bf16                 torch: bf16 weight, gradient and two moments, no master; the nearest of ours is
                               --optimizer adamw8bit: F32 master, two moments of 8 bits

Where the processor has no bf16 instructions torch's products in bf16 are slower than its F32 ones by far, and the peer
computes in F32 instead.

BENCH_STEPS sets the steps of every run, at least 2.
"""
import functools
import json
import os
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from inference import WORK, file_of, limits
from programs import PYTHON, SHARED, SLLM, THREADS, last_json, run
from turns import Beside, Case, Unavailable

STEPS, STEPS_OF_7B, STEPS_OF_CHATS = (int(os.environ.get("BENCH_STEPS", steps)) for steps in (6, 3, 20))  # of 7B: each takes minutes
PEER = Path(__file__).with_name("training_peer.py")


@dataclass(frozen=True)
class Job:
    """What is trained, the same on both sides. `folder` is the peer's Hugging Face folder with the weights of `model`."""
    model: Callable[[], Path]
    folder: Callable[[], Path]
    rows: Callable[[], Path]
    batch: int
    flags: tuple  # of sllm tune
    lr: float = 2e-4
    method: str = "lora"
    samples: bool = False  # samples/s instead of tokens/s


@functools.cache
def scratch():
    """A folder that lives as long as this process."""
    WORK.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=WORK)


def peer(command, *more):
    if not Path(PYTHON).exists():
        raise Unavailable(f"{PYTHON} is not there; tests/parity/setup.sh makes it")
    return run([PYTHON, PEER, command, *more]).stdout


def shared(path):
    if not (SHARED / path).exists():
        raise Unavailable(f"{path} is not in SLLM_SHARED ({SHARED})")
    return SHARED / path


@functools.cache
def folder_of(name):
    """A model file's weights, decoded and rounded to bf16, as a Hugging Face folder."""
    path, script = file_of(name), shared("tools/gguf_to_hf.py")
    made = WORK / f"{path.stem}.hf"
    if not made.exists():
        WORK.mkdir(parents=True, exist_ok=True)
        run([PYTHON, script, path.parent, path.name, f"{made}.part"])
        os.replace(f"{made}.part", made)
    return made


@functools.cache
def fresh_model():
    """Random weights of `sllm init` behind a vocabulary of the books."""
    tokenizer, made = (Path(scratch().name) / name for name in ("tokenizer", "fresh"))
    run([SLLM, "tokenizer", "train", shared("data/books_en"), "--out", tokenizer, "--vocab", 8192, "-q"])
    run([SLLM, "init", tokenizer, made, "--hidden", 512, "--layers", 8, "--heads", 8, "--ffn", 1408, "--context", 1024, "-q"])
    return made


@functools.cache
def shape(path):
    return last_json([SLLM, "show", path, "--json"])


def weights(path):
    """Of the linears that a token passes: the body's and the head."""
    s = shape(path)
    attention = 2 * s["width"] * s["head_width"] * (s["heads"] + s["kv_heads"])
    return s["layers"] * (attention + 3 * s["width"] * s["mlp_width"]) + s["vocabulary"] * s["width"]


@functools.cache
def random_rows(model, batch, length, steps):
    vocabulary, numbers = shape(model())["vocabulary"], random.Random(0)
    path, ids = Path(scratch().name) / f"random-{vocabulary}-{batch}-{length}-{steps}.jsonl", range(vocabulary)
    path.write_text("".join(json.dumps({"input_ids": numbers.choices(ids, k=length)}) + "\n" for _ in range(batch * steps)))
    return path


@functools.cache
def chat_rows(folder, count):
    path = Path(scratch().name) / "chat.jsonl"
    peer("chat-rows", "--model", folder(), "--data", shared("data/chatbot_data_ko/ChatbotData.csv"), "--out", path, "--count", count)
    return path


@functools.cache
def book_rows(count, length):
    path = Path(scratch().name) / "books.jsonl"
    peer("text-rows", "--model", fresh_model(), "--data", shared("data/books_en"), "--out", path, "--count", count, "--length", length)
    return path


@functools.cache
def after_first_step(job):
    """(tokens, samples)"""
    lengths = [len(json.loads(line)["input_ids"]) for line in job.rows().read_text().splitlines()][job.batch:]
    return sum(lengths), len(lengths)


def figures(job, seconds, said):
    """`seconds` are those of the steps after the first."""
    tokens, samples = after_first_step(job)
    return {"value": (samples if job.samples else tokens) / seconds, "tok_s": tokens / seconds, "mb": said["peak_rss_mb"],
            "trained": said["trained_parameters"], "first_loss": said["loss"][0], "last_loss": said["loss"][-1]}


def ours(job):
    """Estimated by --dry-run, then done."""
    with tempfile.TemporaryDirectory(dir=scratch().name) as folder:
        command = [SLLM, "tune", "-m", job.model(), "--data", job.rows(), "--out", f"{folder}/run", "--batch", job.batch, "--no-shuffle",
                   "--lr", job.lr, "--schedule", "constant", "--warmup", 0, "--clip", 0, "--threads", THREADS, "--save-every", 10 ** 6,
                   "--save-minutes", 10 ** 6, *job.flags, "--json", "-q"]
        expected, said = last_json([*command, "--dry-run"]), last_json(command)
    return {**figures(job, after_first_step(job)[0] / said["tok_s"], said), "expected_time": expected["seconds"] / said["seconds"],
            "expected_memory": expected["memory_mb"] / said["peak_rss_mb"]}


def theirs(job, kind):
    said = json.loads(peer("train", "--model", job.folder(), "--rows", job.rows(), "--batch", job.batch, "--lr", job.lr,
                           "--threads", THREADS, "--method", job.method, "--kind", kind).splitlines()[-1])
    return figures(job, sum(said["seconds"][1:]), said)


@functools.cache
def faster_kind(job):
    """Which of torch's two ways of bf16 is faster here."""
    return max(("bf16", "autocast"), key=lambda kind: theirs(job, kind)["value"])


def has_bf16():
    return "bf16_gflops" in limits("bf16")


def bf16_peak():
    """GFLOP/s; those in F32 where the processor has no bf16 instructions."""
    return limits("bf16")["bf16_gflops" if has_bf16() else "f32_gflops"]


def estimates(a):
    return [Beside("--dry-run's seconds over measured", a["expected_time"], at_least=0.85, at_most=1.15),
            Beside("--dry-run's memory over measured", a["expected_memory"], at_least=0.90, at_most=1.10)]


def share_of_bf16(job, tok_s, at_least=None):
    """LoRA needs the gradients of activations only, full tuning those of the weights too."""
    per_weight = 4 if job.method == "lora" else 6
    return Beside("share of the bf16 peak", per_weight * weights(job.model()) * tok_s / 1e9 / bf16_peak(), at_least=at_least)


def tuning(name, model, job, at_least, share=None, memory=None, mb=None, kind="bf16", peer_name="transformers + PEFT"):
    """`memory` is the most of the peer's, `mb` the most in itself; kind None: the peer's faster one."""
    def peer_kind():
        return (kind or faster_kind(job)) if has_bf16() else "f32"

    def beside(a, b):
        return [*([] if job.samples else [share_of_bf16(job, a["tok_s"], share)]),
                Beside("VmHWM over the peer's", a["mb"] / b["mb"], at_most=memory), Beside("VmHWM, MB", a["mb"], at_most=mb),
                Beside("peer's", b["mb"]),
                Beside("trained numbers over the peer's", a["trained"] / b["trained"], at_least=1, at_most=1),
                Beside("first step's loss over the peer's", a["first_loss"] / b["first_loss"], at_least=0.98, at_most=1.02),
                Beside("last step's loss", a["last_loss"]), Beside("peer's", b["last_loss"]), *estimates(a),
                Beside(f"bits of the peer's weights ({peer_kind()})", 16 if peer_kind() == "bf16" else 32)]
    unit = "samples/s" if job.samples else "tokens/s"
    return Case(name, model, peer_name, unit, lambda: ours(job), lambda: theirs(job, peer_kind()), at_least, beside=beside)


def random_job(model, folder, batch, length, *flags, steps=STEPS, **more):
    return Job(model, folder, lambda: random_rows(model, batch, length, steps), batch,
               ("--max-length", length, "--micro-tokens", batch * length, *flags), **more)


def of_7b(length, mb):
    """No peer tunes it in so little memory: beside it stands the time that a forward in int8 and a backward in bf16 would take
    at the machine's peaks."""
    model = functools.partial(file_of, "X")
    job = random_job(model, model, 1, length, "--mode", "fast", steps=STEPS_OF_7B)

    def limit():
        peaks = limits("bf16")
        if "int8_gops" not in peaks:
            raise Unavailable("the processor has no int8 instructions, whose peak is the limit of the forward")
        return {"value": 1e9 / (2 * weights(model()) * (1 / peaks["int8_gops"] + 1 / bf16_peak()))}

    def measure_ours():
        limit()  # before minutes are spent on what nothing could be compared with
        return ours(job)
    return Case(f"QLoRA 1 x {length}", "X", "the limit", "tokens/s", measure_ours, limit, 0.60,
                beside=lambda a, b: [Beside("VmHWM, MB", a["mb"], at_most=mb), *estimates(a)])


def cases():
    s, m, l = (functools.partial(folder_of, name) for name in ("S", "M", "L Q4_K_M"))
    bf16 = ("--mode", "bf16")
    chat = Job(m, m, lambda: chat_rows(m, 8 * STEPS_OF_CHATS), 8, bf16, samples=True)
    scratch_job = Job(fresh_model, fresh_model, lambda: book_rows(4 * STEPS, 1024), 4,
                      ("--full", "--max-length", 1024, "--micro-tokens", 4096, *bf16), lr=1e-3, method="full")

    def full_job(*flags):
        return random_job(s, s, 2, 512, "--full", *bf16, *flags, method="full", lr=2e-5)
    return [
        tuning("LoRA 2 x 512", "S bf16", random_job(s, s, 2, 512, *bf16), 1.85, share=0.55, memory=0.5),
        tuning("LoRA 1 x 512", "M bf16", random_job(m, m, 1, 512, *bf16), 1.6, share=0.66, memory=0.5),
        tuning("LoRA 1 x 512", "L bf16", random_job(l, l, 1, 512, *bf16), 1.4, share=0.70, memory=0.55),
        tuning("QLoRA 1 x 512", "L Q4_K_M", random_job(functools.partial(file_of, "L Q4_K_M"), l, 1, 512, "--mode", "fast"), 1.6, mb=2500),
        of_7b(512, 8000), of_7b(2048, 13000),
        tuning("full AdamW 2 x 512, F32 moments", "S bf16", full_job(), 1.4, memory=0.75, kind="autocast",
               peer_name="torch, autocast"),
        tuning("full AdamW 2 x 512, small moments", "S bf16", full_job("--optimizer", "adamw8bit"), 1.4, memory=0.75,
               peer_name="torch, bf16"),
        tuning(f"LoRA on {8 * STEPS_OF_CHATS} Korean chats, 8 a step", "M bf16", chat, 2.0),
        tuning("from nothing, 4 x 1024 of books", "llama 512 x 8", scratch_job, 1.5, kind=None, peer_name="torch, bf16 or autocast"),
    ]
