"""Calls of functions through the clients people use, unchanged: the openai and the ollama Python packages.

One server with Qwen2.5-Coder-0.5B-Instruct, whose template writes calls in the form of Hermes, and one with SmolLM2, whose
template knows no functions. Checked: the prompt has as many tokens as what transformers makes of the model's template,
the functions and the conversation; calls that are required have arguments that the jsonschema package accepts, at
temperatures at which the model alone would wander; a named function is the one that is called, "none" calls none, what is
called with "auto" is valid; an answer in pieces is the whole one; results are answered in a second turn; several calls
at once, and one where the caller allows one; pydantic models as functions; the same through Ollama's API.
"""
import json
import os
import subprocess
import sys
from pathlib import Path

SLLM = os.environ.get("SLLM_BIN", "")
MODELS = Path(os.environ.get("SLLM_MODELS", ""))
QWEN = MODELS / "qwen2.5-coder-0.5b-instruct.Q4_K_M.gguf"
SMOLLM = MODELS / "smollm2-135m-instruct.Q4_1.gguf"
SEEDS = int(os.environ.get("TOOL_SEEDS", "3"))
WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a city in the next days.",
    "parameters": {"type": "object", "additionalProperties": False, "required": ["city", "days"], "properties": {
        "city": {"type": "string", "description": "The city's name.", "minLength": 1, "maxLength": 40},
        "days": {"type": "integer", "minimum": 1, "maximum": 7}, "unit": {"type": "string", "enum": ["celsius", "화씨"]}}}}}
LAMP = {"type": "function", "function": {
    "name": "set_lamp", "description": "Switches a lamp.",
    "parameters": {"type": "object", "additionalProperties": False, "required": ["room", "on"], "properties": {
        "room": {"enum": ["거실", "kitchen"]}, "on": {"type": "boolean"},
        "more": {"type": "array", "maxItems": 2, "items": {"type": "object", "additionalProperties": False,
                 "required": ["at"], "properties": {"at": {"type": "number", "minimum": 0, "maximum": 24}}}}}}}}
TOOLS = [WEATHER, LAMP]
SCHEMAS = {t["function"]["name"]: t["function"]["parameters"] for t in TOOLS}
ASK = [{"role": "user", "content": "What will the weather in Seoul be in the next 3 days?"}]
failed = False


def report(good, name, figure):
    global failed
    failed = failed or not good
    print(f"{'PASS' if good else 'FAIL'} {name}: {figure}", flush=True)


class Server:
    def __init__(self, model):
        self.process = subprocess.Popen(
            [SLLM, "serve", "-m", str(model), "--port", "0", "--context", "4096", "--json"], stdout=subprocess.PIPE, text=True)
        text = ""
        while not text.rstrip().endswith("}"):
            line = self.process.stdout.readline()
            if not line:
                raise SystemExit("FAIL the server did not start")
            text += line
        about = json.loads(text)
        self.url, self.model = about["url"], about["model"]

    def stop(self):
        self.process.terminate()
        self.process.wait()


def valid(name, arguments):
    import jsonschema
    try:
        jsonschema.validate(arguments if isinstance(arguments, dict) else json.loads(arguments), SCHEMAS[name])
        return True
    except (json.JSONDecodeError, jsonschema.ValidationError, KeyError):
        return False


def all_valid(calls):
    return all(valid(c.function.name, c.function.arguments) for c in calls)


def shown(calls):
    return "; ".join(f"{c.function.name}({c.function.arguments})" for c in calls or [])[:100]


def streamed(client, **request):
    """(text, [(name, arguments)], ids, finish) of what comes in pieces."""
    text, calls, ids, finish = "", [], [], None
    with client.chat.completions.create(**request, stream=True) as stream:
        for chunk in stream:
            for choice in chunk.choices:
                text += choice.delta.content or ""
                finish = choice.finish_reason or finish
                for call in choice.delta.tool_calls or []:
                    if call.id:
                        ids.append(call.id)
                        calls.append([call.function.name, ""])
                    calls[call.index][1] += call.function.arguments or ""
    return text, [tuple(c) for c in calls], ids, finish


def same(choice, pieces):
    text, calls, ids, finish = pieces
    whole = [(c.function.name, c.function.arguments) for c in choice.message.tool_calls or []]
    return (choice.message.content or "") == text and whole == calls and len(set(ids)) == len(calls) and choice.finish_reason == finish


def prompt_tokens(client, url, model, messages):
    """Of what transformers makes of the model's template; it takes a call's arguments as an object."""
    import urllib.request
    from transformers.utils.chat_template_utils import render_jinja_template
    request = urllib.request.Request(url + "/api/show", json.dumps({"model": model}).encode(), {"Content-Type": "application/json"})
    template = json.load(urllib.request.urlopen(request))["template"]
    messages = json.loads(json.dumps(messages))
    for message in messages:
        for call in message.get("tool_calls", []):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    text = render_jinja_template([messages], tools=TOOLS, chat_template=template, add_generation_prompt=True)[0][0]
    return client.completions.create(model=model, prompt=text, max_tokens=1).usage.prompt_tokens


def test_openai(client, url, model):
    fixed = dict(model=model, messages=ASK, tools=TOOLS, max_tokens=300)
    for seed in range(SEEDS):
        choice = client.chat.completions.create(**fixed, tool_choice="required", temperature=1.3, seed=seed).choices[0]
        calls = choice.message.tool_calls or []
        report(choice.finish_reason == "tool_calls" and calls and all_valid(calls), f"required, seed {seed}", shown(calls))
        choice = client.chat.completions.create(**fixed, temperature=1.3, seed=seed, tool_choice={
            "type": "function", "function": {"name": "set_lamp"}}).choices[0]
        calls = choice.message.tool_calls or []
        report(calls and {c.function.name for c in calls} == {"set_lamp"} and all_valid(calls), f"named, seed {seed}", shown(calls))
        choice = client.chat.completions.create(**fixed, temperature=1.0, seed=seed).choices[0]
        report(all_valid(choice.message.tool_calls or []), f"auto, seed {seed}",
               shown(choice.message.tool_calls) or repr(choice.message.content[:60]))

        choice = client.chat.completions.create(**fixed, temperature=1.3, seed=seed, response_format={"type": "json_schema", "json_schema": {
            "name": "n", "schema": SCHEMAS["set_lamp"]}}).choices[0]
        calls = choice.message.tool_calls or []
        report(choice.finish_reason != "length" and (all_valid(calls) if calls else valid("set_lamp", choice.message.content)),
               f"auto or a form, seed {seed}", shown(calls) or choice.message.content)

    none = client.chat.completions.create(**fixed, tool_choice="none", temperature=0).choices[0]
    report(none.message.tool_calls is None and bool(none.message.content), "none", repr(none.message.content[:60]))

    greedy = dict(fixed, temperature=0)
    for choice in ("required", "auto"):
        whole = client.chat.completions.create(**greedy, tool_choice=choice)
        report(same(whole.choices[0], streamed(client, **greedy, tool_choice=choice)), f"{choice}: pieces are the whole",
               shown(whole.choices[0].message.tool_calls) or repr(whole.choices[0].message.content[:60]))
    counted = prompt_tokens(client, url, model, ASK)
    report(whole.usage.prompt_tokens == counted, "the prompt is transformers'", f"{counted} tokens")

    first = client.chat.completions.create(**greedy, tool_choice="required", parallel_tool_calls=False, logprobs=True).choices[0]
    report(len(first.message.tool_calls) == 1 and len(first.logprobs.content) > 5, "one call where one is allowed, with logprobs",
           shown(first.message.tool_calls))
    talk = [*ASK, first.message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"}),
            {"role": "tool", "tool_call_id": first.message.tool_calls[0].id, "content": "Sunny, 21 degrees."}]
    second = client.chat.completions.create(**dict(greedy, messages=talk))
    counted = prompt_tokens(client, url, model, talk)
    said = second.choices[0].message  # a small model may well call once more
    report((bool(said.content) or all_valid(said.tool_calls)) and second.usage.prompt_tokens == counted,
           "a second turn with the result", f"{counted} tokens, {shown(said.tool_calls) if said.tool_calls else said.content[:60]!r}")

    both = dict(greedy, messages=[{"role": "user", "content": "Switch the lamps of 거실 and kitchen on: two calls."}])
    choice = client.chat.completions.create(**both, tool_choice="required").choices[0]
    report(all_valid(choice.message.tool_calls) and len({c.id for c in choice.message.tool_calls}) == len(choice.message.tool_calls),
           "several calls", f"{len(choice.message.tool_calls)}: {shown(choice.message.tool_calls)}")
    cut = client.chat.completions.create(**dict(greedy, max_tokens=12), tool_choice="required").choices[0]
    report(cut.finish_reason == "length", "a call that is cut", shown(cut.message.tool_calls))


def test_pydantic(client, model):
    import openai
    from pydantic import BaseModel

    class Reminder(BaseModel):
        what: str
        hour: int

    parsed = client.chat.completions.parse(
        model=model, messages=[{"role": "user", "content": "Remind me of tea at 4."}], max_tokens=200, temperature=0,
        tools=[openai.pydantic_function_tool(Reminder)], tool_choice="required").choices[0].message.tool_calls[0]
    report(isinstance(parsed.function.parsed_arguments, Reminder), "a pydantic model as a function", repr(parsed.function.parsed_arguments))
    try:
        client.chat.completions.create(model=model, messages=ASK, tools=[{"type": "function", "function": {
            "name": "f", "strict": True, "parameters": {"type": "object", "properties": {"a": {"not": {}}}}}}])
        report(False, "a strict schema that is not understood", "accepted")
    except openai.BadRequestError as error:
        report("#/properties/a/not" in error.body["message"], "a strict schema that is not understood", error.body["message"][:90])


def test_ollama(client, model):
    def get_weather(city: str, days: int) -> str:
        """The weather of a city.

        Args:
          city: The city's name
          days: How many days
        """
        return f"{city}: {days} sunny days"

    options = {"temperature": 0, "num_predict": 300}
    ask = [{"role": "user", "content": ASK[0]["content"] + " Call get_weather."}]
    whole = client.chat(model, ask, tools=[get_weather], options=options)
    pieces = list(client.chat(model, ask, tools=[get_weather], options=options, stream=True))
    calls = [(c.function.name, c.function.arguments) for c in whole.message.tool_calls or []]
    came = [(c.function.name, c.function.arguments) for p in pieces for c in p.message.tool_calls or []]
    report("".join(p.message.content or "" for p in pieces) == (whole.message.content or "") and came == calls and pieces[-1].done,
           "ollama: pieces are the whole", f"{calls or whole.message.content[:60]!r}")
    talk = [*ask, {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "get_weather", "arguments": {"city": "Seoul", "days": 3}}}]},
            {"role": "tool", "tool_name": "get_weather", "content": get_weather("Seoul", 3)}]
    answer = client.chat(model, talk, tools=[get_weather], options=options)
    report(bool(answer.message.content or answer.message.tool_calls), "ollama: a second turn", repr((answer.message.content or "")[:60]))
    report("tools" in client.show(model).capabilities, "ollama: the model can call", model)


def main():
    if not SLLM or not QWEN.exists():
        print("SKIP tool_calls: SLLM_BIN or the model in SLLM_MODELS is not there")
        return 0
    try:
        import jsonschema  # noqa: F401
        import ollama
        import openai
    except ImportError as missing:
        print(f"SKIP tool_calls: {missing}")
        return 0
    for path in (QWEN, SMOLLM):
        if not path.exists():
            continue
        server = Server(path)
        try:
            client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)
            if path == QWEN:
                test_openai(client, server.url, server.model)
                test_pydantic(client, server.model)
                test_ollama(ollama.Client(host=server.url), server.model)
            else:
                for seed in range(SEEDS):
                    calls = client.chat.completions.create(model=server.model, messages=ASK, tools=TOOLS, tool_choice="required",
                                                           max_tokens=300, temperature=1.0, seed=seed).choices[0].message.tool_calls
                    report(bool(calls) and all_valid(calls), f"a template without functions, seed {seed}", shown(calls))
        finally:
            server.stop()
    return 1 if failed else 0


if __name__ == "__main__":
    # Files here are named after packages and must not stand in for them.
    sys.path = [p for p in sys.path if Path(p or ".").resolve() != Path(__file__).resolve().parent]
    sys.exit(main())
