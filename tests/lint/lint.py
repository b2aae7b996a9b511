#!/usr/bin/env python3
"""Checks what the compiler does not: folders include only what CMakeLists.txt allows, files stay
short, sources are formatted, every folder is in the build, and the examples agree with the guide.
Exits 1 with one line per finding."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
MAX_LINES = 600
findings = []


def folders():
    """name -> direct dependencies, from the sllm_folder and sllm_program lines."""
    text = (ROOT / "CMakeLists.txt").read_text()
    out = {}
    for name, rest in re.findall(r"^sllm_folder\((\w+)([^)]*)\)", text, re.M):
        deps = re.search(r" DEPS([^\n]*?)(?:LIBS|TEST_DEPS|$)", rest, re.S)
        out[name] = deps.group(1).split() if deps else []
    program = re.search(r"^sllm_program\(\w+ FOLDER (\w+) DEPS ([\w ]+?) LIBS", text, re.M)
    out[program.group(1)] = program.group(2).split()
    return out


def closure(graph, name, seen=None):
    seen = set() if seen is None else seen
    for dep in graph[name]:
        if dep not in seen:
            seen.add(dep)
            closure(graph, dep, seen)
    return seen


def check_layers():
    graph = folders()
    for path in sorted(SRC.rglob("*")):
        if path.suffix not in {".cc", ".h", ".inl"}:
            continue
        folder = path.relative_to(SRC).parts[0]
        if folder not in graph:
            findings.append(f"{path.relative_to(ROOT)}: folder {folder} is not in CMakeLists.txt")
            continue
        allowed = closure(graph, folder) | {folder}
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+"([^"/]+)/', line)
            if match and match.group(1) in graph and match.group(1) not in allowed:
                findings.append(f"{path.relative_to(ROOT)}:{number}: {folder} must not include {match.group(1)}")


def check_sizes():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split("\n")
    for name in tracked:
        path = ROOT / name
        if path.suffix in {".cc", ".h", ".inl", ".py", ".ts", ".tsx", ".sh"} and path.is_file():
            lines = path.read_text(errors="replace").count("\n")
            if lines > MAX_LINES:
                findings.append(f"{name}: {lines} lines, at most {MAX_LINES}")
        if path.is_file() and path.stat().st_size > 1_000_000:
            findings.append(f"{name}: {path.stat().st_size} bytes; data of that size does not belong in git")


def check_format():
    """clang-format 14 (Debian 12's); other versions format differently and are not used to judge."""
    for tool in ("clang-format-14", "clang-format"):
        try:
            version = subprocess.run([tool, "--version"], capture_output=True, text=True).stdout
        except FileNotFoundError:
            continue
        if " 14." in version:
            files = [str(p) for p in sorted(SRC.rglob("*")) if p.suffix in {".cc", ".h"}]
            run = subprocess.run([tool, "--dry-run", *files], capture_output=True, text=True)
            for line in run.stderr.splitlines():
                if "warning:" in line:
                    findings.append(line.replace(str(ROOT) + "/", ""))
            return
    print("lint: format is not checked: clang-format 14 is not installed")


def check_language():
    """Shell scripts parse."""
    for path in [*ROOT.glob("scripts/*.sh"), *ROOT.glob("tests/**/*.sh"), *ROOT.glob("bench/**/*.sh"), ROOT / ".ci/run"]:
        run = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True)
        if run.returncode:
            findings.append(run.stderr.strip().replace(str(ROOT) + "/", ""))


def check_examples():
    """The questions of the examples stand on what their documents say."""
    for path in ROOT.glob("examples/*/check.py"):
        run = subprocess.run([sys.executable, str(path)], capture_output=True, text=True)
        if run.returncode:
            findings.extend(run.stdout.splitlines() or [run.stderr.strip()])


check_layers()
check_sizes()
check_format()
check_language()
check_examples()
for finding in findings:
    print(finding)
print(f"lint: {len(findings)} findings")
sys.exit(1 if findings else 0)
