#!/usr/bin/env python3
"""Runs the command lines of cases.txt in a folder of fixtures and compares the exit code and what is
printed. A command that fails must leave every file as it was.
Usage: run.py SLLM   (the program; ctest passes it)"""
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile

import tiny_model

HERE = pathlib.Path(__file__).resolve().parent
TIMEOUT_S = 60


def fixtures(folder):
    tiny_model.write_model(folder / "tiny")
    tiny_model.write_adapter(folder / "run" / "adapter")
    rows = [f'{{"question": "What is thing number {w}?", "answer": "It is called {w}."}}\n'
            for w in ("alpha", "bravo", "charlie", "delta", "echo")]
    texts = {"proj/data/pairs.jsonl": "".join(rows), "p.txt": "precious\n", "bad.jsonl": "{bad\n",
             "photos/photo.jpg": "x", "docs/guide.md": "# Leave\n\nLeave is 15 days a year.\n"}
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def contents(folder):
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else "folder"
            for p in folder.rglob("*")}


def run_case(line, folder, environment):
    code, expected, command = (part.strip() for part in line.split("|", 2))
    before = contents(folder)
    # Standard input is empty unless the line says otherwise.
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S)
    said = done.stdout + done.stderr
    problems = []
    if done.returncode != int(code):
        problems.append(f"exit {done.returncode}, expected {code}")
    if expected not in said:
        problems.append(f"does not say \"{expected}\"")
    if done.returncode != 0 and contents(folder) != before:
        changed = {k for k, _ in set(before.items()) ^ set(contents(folder).items())}
        problems.append(f"failed, and changed {', '.join(sorted(changed))}")
    longest = max((len(s) for s in said.splitlines()), default=0)
    if int(code) in (2, 3) and (longest > 300 or "json.exception" in said or "discarded" in said):
        problems.append("says what only a programmer understands")
    for problem in problems:
        print(f"FAIL {command}: {problem}\n     {said.strip()[:600]}")
    return not problems


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    lines = [s for s in (HERE / "cases.txt").read_text().splitlines() if s.strip() and not s.startswith("#")]
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        fixtures(folder)
        environment = dict(os.environ, PATH=f"{program.parent}:{os.environ['PATH']}", HF_HUB_OFFLINE="1",
                           HF_HOME=str(folder / "cache"), GOLDENS=str(HERE.parent / "golden/architectures"))
        passed = sum([run_case(line, folder, environment) for line in lines])
    print(f"{passed} of {len(lines)} command lines behave")
    return 0 if lines and passed == len(lines) else 1


if __name__ == "__main__":
    sys.exit(main())
