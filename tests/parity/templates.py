"""Chat templates: `sllm template` against Python's jinja2 with transformers' settings.

Every template of SLLM_SHARED/data/chat_templates on six conversations, with the clock frozen: the
same text, or an error on both sides (with raise_exception's own words where the template raises).
The comparison is exact.
"""
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.pop(0)  # the files beside this one are not the libraries of the same name
NOW = 1700000000  # 2023-11-14T22:13:20Z
BOS, EOS = "<s>", "</s>"

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather of a city",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "City, e.g. 서울 & <Paris>"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "default": 1},
                "places": {"type": "array", "items": {"type": "number"}},
            },
            "required": ["city"],
        },
        "return": {"type": "string"},
    },
}
CALL = {
    "id": "call12345",
    "type": "function",
    "function": {"name": "get_weather", "arguments": {"city": "서울", "days": 2}},
}
CASES = {
    "system": {
        "messages": [
            {"role": "system", "content": "You are a careful helper."},
            {"role": "user", "content": "Hello <|im_end|> there"},
        ],
    },
    "multi-turn": {
        "messages": [
            {"role": "user", "content": "What is 2+2? "},
            {"role": "assistant", "content": "<think>\nsum\n</think>\n\n4"},
            {"role": "user", "content": "\nAnd 3*3?\n"},
            {"role": "assistant", "content": "9"},
        ],
    },
    "korean": {
        "messages": [
            {"role": "system", "content": "당신은 친절한 도우미입니다."},
            {"role": "user", "content": "연차는 며칠인가요? 🙂"},
            {"role": "assistant", "content": "15일입니다."},
            {"role": "user", "content": "고마워요"},
        ],
        "gen": True,
    },
    "tools": {
        "messages": [
            {"role": "system", "content": "Use tools."},
            {"role": "user", "content": "Weather in Seoul?"},
        ],
        "tools": [WEATHER],
        "gen": True,
    },
    "tool results": {
        "messages": [
            {"role": "user", "content": "Weather in Seoul?"},
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "tool", "name": "get_weather", "tool_call_id": "call12345",
             "content": "{\"temp\": 21}"},
            {"role": "assistant", "content": "It is 21 degrees."},
            {"role": "user", "content": "Thanks"},
        ],
        "tools": [WEATHER],
    },
    "generation prompt": {
        "messages": [{"role": "user", "content": "  Say hi  "}],
        "gen": True,
    },
}


def expected(template, case):
    """transformers' own renderer, with its clock frozen."""
    import transformers.utils.chat_template_utils as utils

    class Frozen(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.datetime.fromtimestamp(NOW)

    utils.datetime = Frozen
    try:
        texts, _ = utils.render_jinja_template(
            [case["messages"]], tools=case.get("tools"), chat_template=template,
            add_generation_prompt=case.get("gen", False), bos_token=BOS, eos_token=EOS)
        return texts[0], None, False
    except Exception as error:  # whatever a template can raise
        import jinja2
        return None, str(error), type(error) is jinja2.exceptions.TemplateError


def ours(sllm, path, case, folder):
    messages, tools = folder / "messages.json", folder / "tools.json"
    messages.write_text(json.dumps(case["messages"], ensure_ascii=False))
    command = [sllm, "template", "-m", str(path), "--messages", str(messages), "--bos", BOS,
               "--eos", EOS, "--now", str(NOW)]
    if "tools" in case:
        tools.write_text(json.dumps(case["tools"], ensure_ascii=False))
        command += ["--tools", str(tools)]
    if case.get("gen"):
        command.append("--add-generation-prompt")
    run = subprocess.run(command, capture_output=True, timeout=60)
    if run.returncode == 0:
        return run.stdout.decode(), None
    return None, f"exit {run.returncode}: {run.stderr.decode().strip()}"


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
    paths = sorted(pathlib.Path(shared, "data/chat_templates").glob("*.jinja"))
    if not paths:
        print("SKIP templates: there are no templates in SLLM_SHARED/data/chat_templates")
        return 0
    failed = same = errors = 0
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            for name, case in CASES.items():
                text, error, raised = expected(path.read_text(), case)
                got, complaint = ours(sllm, path, case, pathlib.Path(folder))
                good = got == text if error is None else (
                    complaint is not None and complaint.startswith("exit 3") and
                    (not raised or error in complaint))
                same += good and error is None
                errors += good and error is not None
                if not good:
                    failed += 1
                    print(f"FAIL templates: {path.name}, {name}: expected {text!r} {error!r}, "
                          f"got {got!r} {complaint!r}"[:2000])
    if failed == 0:
        print(f"PASS templates: {len(paths)} templates x {len(CASES)} conversations, {same} same "
              f"texts, {errors} same errors")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
