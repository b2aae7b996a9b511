"""Chat templates: `sllm template` against Python's jinja2 with transformers' settings.

1. Every template of SLLM_SHARED/data/chat_templates on the conversations of cases/templates.py, with
   the clock frozen: the same text, or an error on both sides (raise_exception's own words where the
   template raises).
2. Every snippet of template_snippets.txt: the same text or an error on both sides; those under
   "## refused" are rendered by jinja2 and refused here.
3. Hostile templates: refused, with the time that took.
The assistant's share is compared in template_masks.py.
All comparisons are exact.
"""
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(sys.path.pop(0))  # the files beside this one are no libraries
NOW = 1700000000  # 2023-11-14T22:13:20Z
BOS, EOS = "<s>", "</s>"


def neighbour(name):
    """A file beside this one as a module."""
    scope = {}
    exec(compile((HERE / name).read_text(), name, "exec"), scope)
    return scope


def expected(template, case):
    """transformers' own renderer, with its clock frozen: text, error, whether the template raised."""
    import jinja2
    import transformers.utils.chat_template_utils as utils

    class Frozen(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.datetime.fromtimestamp(NOW)

    utils.datetime = Frozen
    try:
        messages = [{key: value for key, value in m.items() if value is not None}
                    for m in case["messages"]]  # as apply_chat_template does first
        texts, _ = utils.render_jinja_template(
            [messages], tools=case.get("tools"), documents=case.get("documents"),
            chat_template=template, add_generation_prompt=case.get("gen", False),
            continue_final_message=case.get("continue", False), bos_token=BOS, eos_token=EOS,
            **case.get("variables", {}))
        return texts[0], None, False
    except Exception as error:  # whatever a template can raise
        return None, f"{type(error).__name__}: {error}", (
            str(error) if type(error) is jinja2.exceptions.TemplateError else None)


def ours(sllm, path, case, folder, more=()):
    command = [sllm, "template", "-m", str(path), "--bos", BOS, "--eos", EOS, "--now", str(NOW),
               *more]
    for key in ("messages", "tools", "documents", "variables"):
        if key in case:
            (folder / f"{key}.json").write_text(json.dumps(case[key], ensure_ascii=False))
            command += [f"--{key}", str(folder / f"{key}.json")]
    if case.get("gen"):
        command.append("--add-generation-prompt")
    if case.get("continue"):
        command.append("--continue")
    run = subprocess.run(command, capture_output=True, timeout=60)
    if run.returncode == 0:
        return run.stdout.decode(), None
    return None, f"exit {run.returncode}: {run.stderr.decode().strip()}"


class Tally:
    """Counts what agrees and prints what does not."""

    def __init__(self, name):
        self.name, self.same, self.errors, self.failed = name, 0, 0, 0

    def compare(self, where, wanted, error, own_words, got, complaint):
        good = got == wanted if error is None else (
            complaint is not None and complaint.startswith("exit 3") and
            (own_words is None or own_words in complaint))
        self.same += good and error is None
        self.errors += good and error is not None
        self.failed += not good
        if not good:
            if wanted is not None and got is not None and len(wanted) > 200:
                at = next((i for i, (a, b) in enumerate(zip(wanted, got)) if a != b),
                          min(len(wanted), len(got)))
                wanted, got = wanted[max(0, at - 60):at + 60], got[max(0, at - 60):at + 60]
            print(f"FAIL {self.name}: {where}: expected {wanted!r} {error!r}, got {got!r} "
                  f"{complaint!r}"[:1500])

    def report(self, what):
        if not self.failed:
            print(f"PASS {self.name}: {what}: {self.same} same texts, {self.errors} same errors")
        return self.failed


def check_templates(sllm, shared, folder):
    paths = sorted(pathlib.Path(shared, "data/chat_templates").glob("*.jinja"))
    cases = neighbour("cases/templates.py")["CASES"]
    if not paths:
        print("SKIP templates: there are no templates in SLLM_SHARED/data/chat_templates")
        return 0
    tally = Tally("templates")
    for path in paths:
        for name, case in cases.items():
            # A null byte and lone surrogates aside, the JSON files carry all that Python's str does.
            tally.compare(f"{path.name}, {name}", *expected(path.read_text(), case),
                          *ours(sllm, path, case, folder))
    return tally.report(f"{len(paths)} templates x {len(cases)} conversations")


def snippets():
    """(snippet, refused) of every line of template_snippets.txt."""
    refused = False
    for line in (HERE / "template_snippets.txt").read_text().split("\n"):
        refused |= line == "## refused"
        if line and not line.startswith("#"):
            yield line.replace("⏎", "\n"), refused


def check_snippets(sllm, folder):
    given = json.loads((HERE / "template_variables.json").read_text())
    case = {"messages": given["messages"], "variables": {"v": given["v"]}}
    path = folder / "snippet.jinja"
    tally, refusals = Tally("template snippets"), 0
    for text, refused in snippets():
        path.write_text(text, newline="")
        got, complaint = ours(sllm, path, case, folder)
        if not refused:
            tally.compare(repr(text), *expected(text, case), got, complaint)
        elif complaint is None or not complaint.startswith("exit 3"):
            tally.failed += 1
            print(f"FAIL template snippets: {text!r} is to be refused, got {got!r} {complaint!r}")
        else:
            refusals += 1
    return tally.report(f"{refusals} refused on purpose")


def check_hostile(sllm, folder):
    worst, count, failed = 0.0, 0, 0
    path = folder / "hostile.jinja"
    case = {"messages": [{"role": "user", "content": "hi"}]}
    path.write_text("")
    start = time.monotonic()
    for _ in range(5):
        ours(sllm, path, case, folder)
    idle = (time.monotonic() - start) / 5  # what starting the program takes
    for name, text in neighbour("cases/hostile_templates.py")["HOSTILE"].items():
        path.write_text(text)
        start = time.monotonic()
        got, complaint = ours(sllm, path, case, folder)
        took = 1000 * (time.monotonic() - start - idle)
        worst, count = max(worst, took), count + 1
        if not complaint or not complaint.startswith("exit 3"):
            failed += 1
            print(f"FAIL hostile templates: {name}: {complaint or got[:80]!r}")
        elif os.environ.get("VERBOSE"):
            print(f"     {took:6.1f} ms  {name}: {complaint[-90:]}")
    if not failed:
        print(f"PASS hostile templates: {count} refused, the slowest after {worst:.0f} ms")
    return failed


def main():
    sllm, shared = os.environ.get("SLLM_BIN"), os.environ.get("SLLM_SHARED")
    if not sllm or not shared:
        print("SKIP templates: SLLM_BIN and SLLM_SHARED are not set")
        return 0
    try:
        import transformers  # noqa: F401
    except ImportError:
        print("SKIP templates: transformers is not installed")
        return 0
    os.environ["TZ"] = "UTC"
    time.tzset()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        failed = check_templates(sllm, shared, folder)
        failed += check_snippets(sllm, folder)
        failed += check_hostile(sllm, folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
