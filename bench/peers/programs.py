"""The programs that are measured, and what a process says of itself."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from turns import Unavailable

ROOT = Path(__file__).resolve().parents[2]
SLLM = os.environ.get("SLLM_BIN", str(ROOT / "build/release/sllm"))
LLAMA = Path(os.environ.get("LLAMA_BIN") or ROOT / "build/parity/llama/bin")
PYTHON = os.environ.get("PARITY_PYTHON", str(ROOT / "build/parity/venv/bin/python"))
MODELS = Path(os.environ.get("SLLM_MODELS", ROOT / "build/parity/models"))
SHARED = Path(os.environ.get("SLLM_SHARED", ROOT.parent / "shared"))
THREADS = int(os.environ.get("BENCH_THREADS", "2"))


def llama(program):
    """llama.cpp's program, as tests/parity/setup.sh builds it."""
    if not (LLAMA / program).exists():
        raise Unavailable(f"{program} is not in LLAMA_BIN ({LLAMA}); tests/parity/setup.sh builds it")
    return str(LLAMA / program)


def model(name):
    path = MODELS / name
    if not path.exists():
        raise Unavailable(f"{name} is not in SLLM_MODELS ({MODELS})")
    return path


def run(command, **more):
    """Runs to the end and returns what it wrote; a failure ends the measurement with its own words."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, errors="replace", **more)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return done


def last_json(command, **more):
    return json.loads(run(command, **more).stdout.strip().splitlines()[-1])


def run_measured(command, **more):
    """(seconds, VmHWM in bytes, what it wrote) of a process: GNU time says both, so that neither side reports itself."""
    done = run(["/usr/bin/time", "-f", "%e %M", *command], **more)
    seconds, kib = re.findall(r"^([\d.]+) (\d+)$", done.stderr, re.M)[-1]
    return float(seconds), int(kib) * 1024, done


def machine():
    """The machine card: what the figures belong to, and the peaks that `sllm bench --limits` measures in this run."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    flags = re.search(r"flags\s*: (.*)", Path("/proc/cpuinfo").read_text())
    isa = [f for f in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8") if flags and f in flags[1].split()]
    return {"cpu": cpu[1] if cpu else "unknown", "cores": os.cpu_count(), "threads": THREADS, "isa": isa,
            "commit": run(["git", "-C", ROOT, "rev-parse", "HEAD"]).stdout.strip()}
