#!/usr/bin/env python3
"""sllm tune under mpirun: two ranks leave the weights of one process, a run that SIGTERM ended goes on with one rank, and
what is wrong is said once. Skipped, with a sentence, where there is no mpirun or no plugin for it.
Usage: mpirun.py SLLM"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import tiny_model

SKIPPED = 77  # as ctest is told
TIMEOUT_S = 120


def main():
    sllm = pathlib.Path(sys.argv[1]).resolve()
    if not shutil.which("mpirun"):
        print("skipped: there is no mpirun; install openmpi-bin")
        return SKIPPED
    if not (sllm.parent / "libsllm_mpi.so").exists():
        print(f"skipped: {sllm.parent} has no libsllm_mpi.so; build where libopenmpi-dev is installed")
        return SKIPPED
    os.environ |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    failures = []

    def check(holds, what):
        print(("ok    " if holds else "FAIL  ") + what)
        if not holds:
            failures.append(what)

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        tiny_model.write_model(folder / "tiny")
        rows = [{"question": f"What is thing number {i}?", "answer": f"It is called {'abcdefgh'[i % 8] * (1 + i % 5)}."}
                for i in range(40)]
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        ranks = ["mpirun", "--oversubscribe", "-n", "2"]

        def tune(out, *flags, before=()):
            return [*before, sllm, "tune", "-m", folder / "tiny", "--data", folder / "rows.jsonl", "--out", folder / out,
                    "--batch", "8", "--eval-fraction", "0.1", "-q", *flags]

        def run(*command):
            return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)

        def weights(out):
            return (folder / out / "adapter/adapter_model.safetensors").read_bytes()

        one = run(*tune("one", "--steps", "12", "--shards", "2"))
        two = run(*tune("two", "--steps", "12", before=ranks))
        check(one.returncode == two.returncode == 0, f"both tune: {one.stderr[-300:]}{two.stderr[-300:]}")
        check(weights("one") == weights("two"), "two ranks leave the weights of one process")
        check(two.stdout.count("12 steps over") == 1, "the first rank speaks for both")
        check(json.loads((folder / "two/env.json").read_text())["ranks"] == 2, "the run says that two ranks made it")

        # Killed when it has taken some steps; then one process goes on.
        whole = run(*tune("whole", "--steps", "800", "--shards", "2"))
        process = subprocess.Popen(tune("cut", "--steps", "800", "--save-every", "20", before=ranks),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + TIMEOUT_S
        while not list(folder.glob("cut/checkpoints/step-*")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        process.wait(TIMEOUT_S)
        resumed = run(*tune("cut", "--steps", "800", "--save-every", "20", "--resume", "--json"))
        check(resumed.returncode == 0 and json.loads(resumed.stdout)["resumed_from"] > 0,
              f"one process goes on where two were: {resumed.stdout[-200:]}{resumed.stderr[-300:]}")
        check(whole.returncode == 0 and weights("whole") == weights("cut"), "and leaves the weights of the whole run")

        for out, flags, code, said in [
                ("few", ["--shards", "1"], 2, "2 ranks share the work of a step that is divided into 1 shard"),
                ("none", ["--data-of", "x"], 2, "has no flag --data-of"),
                ("dry", ["--dry-run"], 2, "--dry-run is the work of one process, and 2 were started")]:
            refused = run(*tune(out, *flags, before=ranks))
            check(refused.returncode == code and said in refused.stderr, f"exit {refused.returncode}: {said}")
            check(not (folder / out / "adapter").exists(), f"{out}: nothing is left")
        wrong = run(*ranks, sllm, "eval", "-m", folder / "tiny")
        check(wrong.returncode == 2 and wrong.stderr.count("is the work of one process") == 1, "other commands refuse, once")
        lost = subprocess.run([*tune("lost", before=ranks)], capture_output=True, text=True, timeout=TIMEOUT_S,
                              env=os.environ | {"SLLM_MPI_PLUGIN": str(folder / "none.so")})
        check(lost.returncode == 2 and "the MPI plugin cannot be loaded" in lost.stderr, "a plugin that is not there is named")
    print(f"mpirun: {len(failures)} failures")
    return 1 if failures else 0


sys.exit(main())
