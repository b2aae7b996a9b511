"""Chat templates: `sllm template` against Python's jinja2 with transformers' settings.

1. Every template of SLLM_SHARED/data/chat_templates on the conversations of template_cases.py, with
   the clock frozen: the same text, or an error on both sides (raise_exception's own words where the
   template raises).
2. Every snippet of template_snippets.txt: the same text or an error on both sides; those under
   "## refused" are rendered by jinja2 and refused here.
3. The assistant's tokens of {% generation %} templates with SLLM_SHARED's tokenizers against
   apply_chat_template(return_assistant_tokens_mask=True).
4. Where a template has no {% generation %}: the assistant's share against rendering the conversation
   up to each of its messages (generation prompt on) and up to its end, wherever those are prefixes
   of one another. Ours may end earlier: behind the end token, before a line end.
5. Hostile templates: refused, with the time that took.
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
    cases = neighbour("template_cases.py")["CASES"]
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


GENERATION = {
    "chatml": "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' "
              "%}{% generation %}{{ m.content }}{{ '<|im_end|>\n' }}{% endgeneration %}{% else %}"
              "{{ m.content + '<|im_end|>\n' }}{% endif %}{% endfor %}",
    "trimmed": "{% for m in messages %}[{{ m.role }}]{% if m.role == 'assistant' %}"
               "{%- generation -%}{{ m.content | trim }}{%- endgeneration -%}{% else %}"
               "{{ m.content }}{% endif %}|{% endfor %}",
    "last only": "{% for m in messages %}{{ m.role }}: {% if loop.last %}{% generation %}"
                 "{{ m.content }}{{ eos_token }}{% endgeneration %}{% else %}{{ m.content }}"
                 "{% endif %}\n{% endfor %}",
}


def check_masks(sllm, shared, folder):
    import transformers
    cases = neighbour("template_cases.py")["CASES"]
    named = ["multi-turn", "korean", "reasoning", "unicode", "named, many turns", "very long"]
    same = tokens = spoken = failed = 0
    for model in ("tok_llama3_hf", "tok_qwen3_hf"):
        source = pathlib.Path(shared, "data", model)
        if not (source / "tokenizer.json").exists():
            print(f"SKIP template masks: no tokenizer in {source}")
            continue
        for kind, template in GENERATION.items():
            home = folder / f"{model} {kind}"
            home.mkdir()
            for file in source.iterdir():
                if file.name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
                    (home / file.name).write_bytes(file.read_bytes())
            (home / "chat_template.jinja").write_text(template)
            tokenizer = transformers.AutoTokenizer.from_pretrained(home)
            for name in named:
                wanted = tokenizer.apply_chat_template(
                    cases[name]["messages"], chat_template=template, return_dict=True,
                    return_assistant_tokens_mask=True)
                messages = {"messages": cases[name]["messages"]}
                got, complaint = ours(sllm, home, messages, folder, ["--json"])
                answer = json.loads(got) if got else {}
                if (answer.get("token_ids"), answer.get("assistant")) == (
                        wanted["input_ids"], wanted["assistant_masks"]):
                    same += 1
                    tokens += len(wanted["input_ids"])
                    spoken += sum(wanted["assistant_masks"])
                else:
                    failed += 1
                    print(f"FAIL template masks: {model}, {kind}, {name}: {complaint} "
                          f"{wanted['input_ids'][:20]} {answer.get('token_ids', [])[:20]}")
    if same and not failed:
        print(f"PASS template masks: {same} conversations, {tokens} tokens, {spoken} of them the "
              "assistant's, as transformers says")
    return failed


def check_prefixes(sllm, shared, folder):
    cases = neighbour("template_cases.py")["CASES"]
    agree = no_prefix = failed = 0
    for path in sorted(pathlib.Path(shared, "data/chat_templates").glob("*.jinja")):
        template = path.read_text()
        for name, case in cases.items():
            case = {key: case[key] for key in case if key not in ("gen", "continue")}
            whole, error, _ = expected(template, case)
            turns = [i for i, m in enumerate(case["messages"]) if m["role"] == "assistant" and (
                m.get("content") or m.get("tool_calls"))]
            if error or not turns:
                continue
            got, _ = ours(sllm, path, case, folder, ["--json"])
            mine = json.loads(got)["assistant_bytes"]
            for i in turns:
                head = {**case, "messages": case["messages"][:i], "gen": True}
                before = expected(template, head)[0]
                after = expected(template, {**case, "messages": case["messages"][:i + 1]})[0]
                if not before or not after or not after.startswith(before) or (
                        not whole.startswith(after)):
                    no_prefix += 1
                    continue
                begin, end = len(before.encode()), len(after.encode())
                inside = [r for r in mine if begin <= r[0] < end]
                rest = after.encode()[inside[-1][1]:end] if inside else b"?"
                if len(inside) == 1 and inside[0][0] == begin and not rest.strip():
                    agree += 1
                else:
                    failed += 1
                    print(f"FAIL template prefixes: {path.name}, {name}, message {i}: "
                          f"{after[len(before):]!r}, got {mine}, {begin} to {end}"[:600])
    if not failed:
        print(f"PASS template prefixes: {agree} assistant turns begin and end where prefix rendering "
              f"says; for {no_prefix} the prefixes differ and the message's own bytes decide")
    return failed


def check_hostile(sllm, folder):
    worst, count, failed = 0.0, 0, 0
    path = folder / "hostile.jinja"
    case = {"messages": [{"role": "user", "content": "hi"}]}
    path.write_text("")
    start = time.monotonic()
    for _ in range(5):
        ours(sllm, path, case, folder)
    idle = (time.monotonic() - start) / 5  # what starting the program takes
    for name, text in neighbour("template_hostile.py")["HOSTILE"].items():
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
        failed += check_masks(sllm, shared, folder)
        failed += check_prefixes(sllm, shared, folder)
        failed += check_hostile(sllm, folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
