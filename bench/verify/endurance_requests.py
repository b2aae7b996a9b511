"""What endurance.py sends: requests that are right, with what their answers must be like, and requests that are not, with the
statuses that say so. Everything is drawn from a random.Random, so that a seed repeats it."""
import base64
import json
from dataclasses import dataclass, field
from typing import Callable

KEYS = ["sk-first", "sk-second"]
MODEL = "default"
CONTEXT = 2048  # tokens that the server is started with
WORDS = "the of and a to in is you that it he was for on are with as I his they at be this have 서울 날씨 문서 질문 답변 연차 카드".split()
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}, "days": {"type": "integer"}}, "required": ["city", "days"],
          "additionalProperties": False}
TOOL = {"type": "function", "function": {"name": "weather", "description": "Weather of a city", "parameters": SCHEMA}}
GRAMMAR = 'root ::= ("yes" | "no") " because " [a-z ]{1,12} "."'
STORY = [{"role": "user", "content": "Tell a story."}]
FULL = 429


@dataclass
class Answer:
    status: int
    headers: dict = field(default_factory=dict)
    body: bytes = b""

    def json(self):
        return json.loads(self.body)

    def events(self):
        """The JSON of a stream of events, which must have been ended as one ends that was not cut short."""
        parts = self.body.decode().split("\n\n")
        assert parts[-2:] == ["data: [DONE]", ""], f"a stream ends with {parts[-2:]}"
        events = [json.loads(p.removeprefix("data: ")) for p in parts[:-2] if not p.startswith(":")]
        assert not any("error" in e for e in events), f"an error in a stream: {events[-1]}"
        return events

    def lines(self):
        return [json.loads(line) for line in self.body.decode().splitlines()]


@dataclass
class Request:
    path: str
    body: dict | bytes | None = None  # None: GET
    check: Callable[[Answer], None] = lambda answer: None  # of an answer with status 200; raises
    same: str = ""  # not "": the answer's text, which check returns, must always be the same for this name


def to_bytes(path, body, key=KEYS[0], method=None, headers="", keep=False, media="application/json"):
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body, ensure_ascii=False).encode()
    head = f"{method or ('GET' if body is None else 'POST')} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
    head += f"Connection: {'keep-alive' if keep else 'close'}\r\n{headers}"
    if body is not None:
        head += f"Content-Type: {media}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + (body or b"")


def words(r, most):
    return " ".join(r.choice(WORDS) for _ in range(r.randint(1, most)))


def messages(r):
    list_ = [{"role": "user", "content": words(r, r.choice([8, 60, 300]))}]
    if r.random() < 0.4:
        list_.insert(0, {"role": "system", "content": "You are a helpful assistant. " * r.choice([1, 20])})
    return list_


def texts_of_chat(answer, n, stream, reasons):
    """The texts of the n choices; each must have ended once, for one of the reasons."""
    texts, ends = [""] * n, []
    for event in answer.events() if stream else [answer.json()]:
        for choice in event["choices"]:
            said = choice["delta" if stream else "message"]
            texts[choice["index"]] += said.get("content") or ""
            if choice["finish_reason"]:
                ends.append(choice["index"])
                assert choice["finish_reason"] in reasons, choice
    assert sorted(ends) == list(range(n)), f"choices {ends} of {n} ended"
    return texts


def chat(r, **more):
    body = {"messages": messages(r), "max_tokens": r.choice([1, 8, 24, 64]), "temperature": r.choice([0, 0.8]), "seed": r.randint(0, 9),
            "stream": r.random() < 0.6, **more}
    reasons = ("stop", "length", "tool_calls") if "tools" in body else ("stop", "length")
    return Request("/v1/chat/completions", body, lambda a: texts_of_chat(a, body.get("n", 1), body["stream"], reasons))


def chat_with_usage(r):
    request = chat(r, stream=True, stream_options={"include_usage": True}, logprobs=True, top_logprobs=r.randint(0, 5))

    def check(answer):
        usage = answer.events()[-1]["usage"]
        assert 1 <= usage["completion_tokens"] <= request.body["max_tokens"], usage
    request.check = check
    return request


def in_form(r):
    """A form is kept to the end where the answer was not cut short."""
    forms = [({"grammar": GRAMMAR}, lambda text: text.startswith(("yes because ", "no because "))),
             ({"response_format": {"type": "json_object"}}, lambda text: isinstance(json.loads(text), dict)),
             ({"response_format": {"type": "json_schema", "json_schema": {"name": "plan", "schema": SCHEMA}}},
              lambda text: set(json.loads(text)) == {"city", "days"})]
    form, good = r.choice(forms)
    request = chat(r, stream=False, max_tokens=r.choice([8, 64]), **form)

    def check(answer):
        choice = answer.json()["choices"][0]
        assert choice["finish_reason"] == "length" or good(choice["message"]["content"]), choice
    request.check = check
    return request


def again(r):
    """One of a few requests whose answers must not depend on the company they are computed in."""
    which = r.randrange(6)
    body = {"messages": [{"role": "user", "content": f"Count from {which} on. " * (1 + 20 * (which % 2))}], "max_tokens": 24, "seed": which,
            "temperature": 0.8 * (which % 3 > 0), "stream": r.random() < 0.5}
    return Request("/v1/chat/completions", body, lambda a: texts_of_chat(a, 1, body["stream"], ("stop", "length"))[0], f"again {which}")


def completion(r):
    prompts = [words(r, 40) for _ in range(r.randint(1, 3))]
    body = {"prompt": prompts, "echo": r.random() < 0.3, "max_tokens": r.choice([1, 16]), "stream": r.random() < 0.5, "temperature": 0.8,
            "logprobs": r.choice([None, 2])}

    def check(answer):
        events = answer.events() if body["stream"] else [answer.json()]
        ended = [c["index"] for e in events for c in e["choices"] if c["finish_reason"]]
        assert sorted(ended) == list(range(len(prompts))), f"choices {ended} of {len(prompts)} ended"
    return Request("/v1/completions", body, check)


def embeddings(r):
    body = {"input": [words(r, 20) for _ in range(r.randint(1, 4))], "encoding_format": r.choice(["float", "base64"])}

    def check(answer):
        data = [d["embedding"] for d in answer.json()["data"]]
        assert len(data) == len(body["input"])
        assert all(len(base64.b64decode(d)) % 4 == 0 if isinstance(d, str) else len(d) > 1 for d in data)
    return Request("/v1/embeddings", body, check)


def ollama(r, path, **asked):
    body = {"model": r.choice([MODEL, MODEL + ":latest"]), "stream": r.random() < 0.6, "options": {"num_predict": r.choice([1, 8, 24, 64])}, **asked}
    if r.random() < 0.2 and "tools" not in body:
        body["format"] = r.choice(["json", SCHEMA])

    def check(answer):
        lines = answer.lines()
        assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True], answer.body[-300:]
        assert body["stream"] or len(lines) == 1
    return Request(path, body, check)


def ollama_embed(r):
    texts = [words(r, 20) for _ in range(r.randint(1, 3))]

    def check(answer):
        assert len(answer.json()["embeddings"]) == len(texts)
    return Request("/api/embed", {"model": MODEL, "input": texts}, check)


def look(r):
    path, key = r.choice([("/health", "status"), ("/v1/models", "data"), (f"/v1/models/{MODEL}", "id"), ("/api/tags", "models"),
                          ("/api/ps", "models"), ("/api/version", "version"), ("/metrics", None), ("/", None)])
    return Request(path, None, lambda a: None if key is None else a.json()[key])


RIGHT = [chat, chat_with_usage, in_form, again, again, completion, embeddings, ollama_embed, look, look,
         lambda r: chat(r, n=r.randint(2, 3), stop=["the ", "."]),
         lambda r: chat(r, tools=[TOOL], tool_choice=r.choice(["auto", "required"])),
         lambda r: chat(r, logprobs=True, top_logprobs=3, presence_penalty=0.5, top_k=40),
         lambda r: ollama(r, "/api/chat", messages=messages(r)),
         lambda r: ollama(r, "/api/chat", messages=messages(r), tools=[TOOL]),
         lambda r: ollama(r, "/api/generate", prompt=words(r, 20), raw=r.random() < 0.3),
         lambda r: Request("/api/embeddings", {"model": MODEL, "prompt": words(r, 20)}, lambda a: a.json()["embedding"][0]),
         lambda r: Request("/api/show", {"model": MODEL}, lambda a: a.json()["details"])]


def right(r):
    return r.choice(RIGHT)(r)


# What is wrong, its bytes and the statuses that say so; 0: closed without a word.
WRONG = [
    ("random bytes", lambda r: r.randbytes(r.randint(1, 3000)), {0, 400}),
    ("broken JSON", lambda r: to_bytes("/v1/chat/completions", b'{"messages": [' + b"[" * r.randint(0, 5000)), {400, FULL}),
    ("a body that is not UTF-8", lambda r: to_bytes("/v1/completions", b'{"prompt": "' + r.randbytes(50).hex().encode() + b'\xff"}'), {400, FULL}),
    ("wrong types", lambda r: to_bytes(r.choice(["/v1/chat/completions", "/v1/completions", "/api/chat", "/api/embed", "/v1/embeddings"]), {
        "model": MODEL, "messages": r.choice([3, "x", {}, [1]]), "prompt": {"a": 1}, "input": 5, "tools": "x"}), {400, FULL}),
    ("an unknown field", lambda r: to_bytes("/v1/chat/completions", {"messages": STORY, words(r, 3): 1}), {400, FULL}),
    ("a number out of range", lambda r: to_bytes("/v1/chat/completions", {"messages": STORY, "temperature": r.choice([-1, 3, 1e300])}), {400, FULL}),
    ("a grammar that is none", lambda r: to_bytes("/v1/chat/completions", {"messages": STORY, "grammar": "root ::= " + "(" * r.randint(1, 2000)}), {400, FULL}),
    ("a schema that is not supported", lambda r: to_bytes("/api/chat", {"model": MODEL, "messages": STORY, "format": {"not": {}}}), {400, FULL}),
    ("a prompt beyond the context", lambda r: to_bytes("/v1/completions", {"prompt": "word " * 2 * CONTEXT}), {400, FULL}),
    ("a model that is not there", lambda r: to_bytes("/api/generate", {"model": "other", "prompt": "x"}), {404, FULL}),
    ("a huge header", lambda r: b"GET /health HTTP/1.1\r\nX-Long: " + b"a" * 40000 + b"\r\n\r\n", {431}),
    ("10 MB of the wrong type", lambda r: to_bytes("/v1/chat/completions", b'{"messages": "' + b"a" * 10_000_000 + b'"}'), {400, FULL}),
    ("10 MB of prompt", lambda r: to_bytes("/v1/completions", b'{"prompt": "' + b"a b " * 2_500_000 + b'"}'), {400, FULL}),
    ("20 MB", lambda r: to_bytes("/v1/completions", b'{"prompt": "' + b"a" * 20_000_000 + b'"}'), {413}),
    ("a wrong key", lambda r: to_bytes("/v1/chat/completions", {"messages": STORY}, key="sk-wrong"), {401}),
    ("a wrong path", lambda r: to_bytes("/v1/" + r.randbytes(4).hex(), {}), {404}),
    ("a wrong method", lambda r: to_bytes("/v1/chat/completions", None, method=r.choice(["GET", "PUT", "DELETE"])), {405}),
    ("a wrong media type", lambda r: to_bytes("/v1/chat/completions", {"messages": STORY}, media="text/plain"), {415}),
    ("a length that is none", lambda r: b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n{}", {400}),
    ("two lengths", lambda r: to_bytes("/v1/completions", {"prompt": "x"}, headers="Transfer-Encoding: chunked\r\n"), {400}),
    ("a host that is not ours", lambda r: b"GET /v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n", {403}),
]
