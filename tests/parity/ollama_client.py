"""The server beside Ollama's own Python client, unchanged, and answers in a given form checked by another program.

One server with a real model. Checked: what the client lists and shows; chat and generate, whole and streamed, are the same
text at temperature 0, and the same as through OpenAI's API; an answer with a schema as `format` (and, through the openai
client, as `response_format`) is accepted by the jsonschema package, at temperatures at which the model alone would wander;
embeddings are those of OpenAI's API; faults arrive as the client's ResponseError with our sentence.
"""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

SLLM = os.environ.get("SLLM_BIN", "")
MODEL = Path(os.environ.get("SLLM_MODELS", "")) / "smollm2-135m-instruct.Q4_1.gguf"
SEEDS = int(os.environ.get("FORM_SEEDS", "3"))
SCHEMAS = {
    "action": {"type": "object", "additionalProperties": False, "required": ["device", "on"],
               "properties": {"device": {"enum": ["lamp", "선풍기", "에어컨"]}, "on": {"type": "boolean"},
                              "level": {"type": "integer", "minimum": 0, "maximum": 100}}},
    "list": {"type": "array", "minItems": 2, "maxItems": 4, "items": {"type": "string", "minLength": 1, "maxLength": 12}},
    "tree": {"$defs": {"node": {"type": "object", "required": ["name"], "additionalProperties": False, "properties": {
        "name": {"type": "string", "pattern": "^[a-z]{1,8}$"}, "child": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}}},
        "$ref": "#/$defs/node"},
    "when": {"type": "object", "required": ["day", "hour"], "additionalProperties": False, "properties": {
        "day": {"type": "string", "format": "date"}, "hour": {"type": "number", "minimum": 0, "maximum": 24}}},
}
failed = False


def report(good, name, figure):
    global failed
    failed = failed or not good
    print(f"{'PASS' if good else 'FAIL'} {name}: {figure}", flush=True)


def valid(text, schema):
    import jsonschema
    try:
        jsonschema.validate(json.loads(text), schema, format_checker=jsonschema.FormatChecker())
        return True
    except (json.JSONDecodeError, jsonschema.ValidationError):
        return False


def test_ollama_client(ollama, openai, model):
    report([m.model for m in ollama.list().models] == [model], "list", model)
    shown = ollama.show(model)
    report("completion" in shown.capabilities and shown.details.quantization_level == "Q4_1", "show", shown.details.parameter_size)
    ask = [{"role": "user", "content": "Name three colours."}]
    fixed = {"temperature": 0, "num_predict": 40}
    whole = ollama.chat(model, ask, options=fixed)
    pieces = list(ollama.chat(model + ":latest", ask, options=fixed, stream=True))
    report("".join(p.message.content for p in pieces) == whole.message.content and pieces[-1].done and not pieces[0].done,
           "chat stream equals the whole answer", f"{len(pieces)} lines")
    other = openai.chat.completions.create(model=model, messages=ask, temperature=0, max_tokens=40)
    report(other.choices[0].message.content == whole.message.content and other.usage.completion_tokens == whole.eval_count
           and other.usage.prompt_tokens == whole.prompt_eval_count, "chat equals OpenAI's", repr(whole.message.content[:40]))
    once = ollama.generate(model, ask[0]["content"], options=fixed)
    report(once.response == whole.message.content and once.done_reason == whole.done_reason, "generate equals chat", once.done_reason)
    raw = ollama.generate(model, "Once upon a time", raw=True, options=fixed).response
    plain = openai.completions.create(model=model, prompt="Once upon a time", temperature=0, max_tokens=40).choices[0].text
    report(raw == plain, "raw generate equals OpenAI's completion", repr(raw[:40]))
    texts = ["A cat sat.", "고양이가 앉았다."]
    ours = ollama.embed(model, texts).embeddings
    theirs = [e.embedding for e in openai.embeddings.create(model=model, input=texts).data]
    gap = max(abs(a - b) for x, y in zip(ours, theirs) for a, b in zip(x, y))
    report(gap < 1e-6, "embeddings equal OpenAI's", f"{gap:.1e}")


def test_forms(ollama, openai, model):
    for name, schema in SCHEMAS.items():
        ask = [{"role": "user", "content": f"Answer with JSON: {name}. 거실 불 켜 줘."}]
        for seed in range(SEEDS):
            said = ollama.chat(model, ask, format=schema, options={"temperature": 1.5, "seed": seed, "num_predict": 400})
            report(said.done_reason == "stop" and valid(said.message.content, schema), f"form {name}, seed {seed}",
                   repr(re.sub(r"\s+", " ", said.message.content)[:60]))
        answer = openai.chat.completions.create(model=model, messages=ask, temperature=1.5, seed=7, max_tokens=400, response_format={
            "type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}).choices[0]
        report(answer.finish_reason == "stop" and valid(answer.message.content, schema), f"response_format {name}",
               repr(answer.message.content[:60]))


def test_faults(ollama, model):
    import ollama as package
    for name, call, word in [
            ("unknown model", lambda: ollama.chat("nobody", [{"role": "user", "content": "hi"}]), "nobody"),
            ("unknown keyword", lambda: ollama.generate(model, "hi", format={"type": "object", "if": {}}), "if"),
            ("prompt too long", lambda: ollama.generate(model, "word " * 5000), "context is 2048 tokens")]:
        try:
            call()
            report(False, name, "no error")
        except package.ResponseError as error:
            report(word in error.error and 400 <= error.status_code < 500, name, f"{error.status_code} {error.error[:80]}")


def main():
    if not SLLM or not MODEL.exists():
        print("SKIP ollama_client: SLLM_BIN or the model in SLLM_MODELS is not there")
        return 0
    try:
        import jsonschema  # noqa: F401
        import ollama
        import openai
    except ImportError as missing:
        print(f"SKIP ollama_client: {missing}")
        return 0
    process = subprocess.Popen([SLLM, "serve", "-m", str(MODEL), "--port", "0", "--context", "2048", "--json"], stdout=subprocess.PIPE, text=True)
    try:
        text = ""
        while not text.rstrip().endswith("}"):
            text += process.stdout.readline()
        about = json.loads(text)
        client = ollama.Client(host=about["url"])
        other = openai.OpenAI(base_url=about["url"] + "/v1", api_key="none", max_retries=0)
        test_ollama_client(client, other, about["model"])
        test_forms(client, other, about["model"])
        test_faults(client, about["model"])
    finally:
        process.terminate()
        process.wait()
    return 1 if failed else 0


if __name__ == "__main__":
    # Files here are named after packages and must not stand in for them.
    sys.path = [p for p in sys.path if Path(p or ".").resolve() != Path(__file__).resolve().parent]
    sys.exit(main())
