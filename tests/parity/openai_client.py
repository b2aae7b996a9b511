"""The server beside the clients people use: the openai Python package and curl, unchanged.

One server with a real model. Checked: answers whole and streamed are the same text at temperature 0; 8 clients at
once each get what they get alone; logprobs, stop, seed, n, echo, embeddings; a client that leaves frees its slot
within 200 ms as /metrics shows it; garbage, 10 MB bodies and wrong types get a 4xx JSON error and the server lives.
"""
import concurrent.futures
import json
import math
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

SLLM = os.environ.get("SLLM_BIN", "")
MODELS = Path(os.environ.get("SLLM_MODELS", ""))
MODEL = MODELS / "smollm2-135m-instruct.Q4_1.gguf"
KEY = "sk-parity"
FREED_WITHIN = 0.2  # seconds; the bar of the project

failed = False


def report(good, name, figure):
    global failed
    failed = failed or not good
    print(f"{'PASS' if good else 'FAIL'} {name}: {figure}", flush=True)


def skip(reason):
    print(f"SKIP {reason}")
    sys.exit(0)


class Server:
    def __init__(self, *flags):
        self.process = subprocess.Popen(
            [SLLM, "serve", "-m", str(MODEL), "--port", "0", "--api-key", KEY, "--context", "2048", "--json", *flags],
            stdout=subprocess.PIPE, text=True)
        text = ""
        while True:
            line = self.process.stdout.readline()
            if not line:
                raise SystemExit("FAIL the server did not start")
            text += line
            try:
                about = json.loads(text)
                break
            except json.JSONDecodeError:
                continue
        self.url, self.port, self.model = about["url"], about["port"], about["model"]

    def raw(self, data, wait=30):
        """Sends bytes, returns (status, body) of what comes back; (0, b"") when nothing does."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as s:
            try:
                s.sendall(data)
            except OSError:
                pass
            answer = b""
            try:
                while chunk := s.recv(65536):
                    answer += chunk
            except OSError:
                pass
        head, _, body = answer.partition(b"\r\n\r\n")
        return (int(head.split()[1]) if head else 0), body

    def metrics(self):
        _, body = self.raw(f"GET /metrics HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode())
        lines = (line.rsplit(" ", 1) for line in body.decode().splitlines() if line and line[0] != "#")
        return {name: float(value) for name, value in lines}


def post(path, body, headers=""):
    body = body if isinstance(body, bytes) else body.encode()
    return (f"POST {path} HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Type: application/json\r\n{headers}Content-Length: {len(body)}\r\n\r\n").encode() + body


def test_openai_client(server):
    import openai
    client = openai.OpenAI(base_url=server.url + "/v1", api_key=KEY, max_retries=0)
    model = server.model
    report(model in [m.id for m in client.models.list()] and client.models.retrieve(model).id == model,
           "models", model)
    ask = [{"role": "user", "content": "Name three colours."}]
    fixed = dict(model=model, messages=ask, temperature=0, max_tokens=40)
    whole = client.chat.completions.create(**fixed)
    text = whole.choices[0].message.content
    report(bool(text) and whole.usage.completion_tokens > 0, "chat", repr(text[:60]))

    pieces, usage, finish = [], None, None
    with client.chat.completions.create(**fixed, stream=True, stream_options={"include_usage": True}) as stream:
        for chunk in stream:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                pieces.append(choice.delta.content or "")
                finish = choice.finish_reason or finish
    report("".join(pieces) == text and usage == whole.usage and finish == whole.choices[0].finish_reason,
           "chat stream equals the whole answer", f"{len(pieces)} pieces, finish {finish}")

    stop = client.chat.completions.create(**{**fixed, "stop": text[5:8]}).choices[0]
    report(stop.message.content == text[:text.index(text[5:8])] and stop.finish_reason == "stop", "stop",
           repr(stop.message.content))
    seeded = [client.chat.completions.create(**{**fixed, "temperature": 1.0, "seed": 7, "n": 2}) for _ in range(2)]
    texts = [[c.message.content for c in s.choices] for s in seeded]
    report(texts[0] == texts[1] and texts[0][0] != texts[0][1], "seed repeats, n differs", len(texts[0]))

    scored = client.chat.completions.create(**fixed, logprobs=True, top_logprobs=3).choices[0]
    content = scored.logprobs.content
    best = all(math.isclose(t.logprob, t.top_logprobs[0].logprob, abs_tol=1e-4) and t.logprob <= 0 for t in content)
    joined = b"".join(bytes(t.bytes) for t in content).decode()
    report(best and joined.startswith(text), "logprobs: greedy tokens are the likeliest", f"{len(content)} tokens")

    echo = client.completions.create(model=model, prompt="The capital of France is", max_tokens=1, temperature=0,
                                     echo=True, logprobs=1).choices[0]
    report(echo.text.startswith("The capital of France is") and echo.logprobs.token_logprobs[0] is None
           and all(p <= 0 for p in echo.logprobs.token_logprobs[1:]), "completion with echo", repr(echo.text))
    streamed = "".join(c.choices[0].text for c in client.completions.create(
        model=model, prompt="Once upon a time", max_tokens=20, temperature=0, stream=True))
    once = client.completions.create(model=model, prompt="Once upon a time", max_tokens=20, temperature=0)
    report(streamed == once.choices[0].text, "completion stream equals the whole", repr(streamed[:40]))

    embeddings = client.embeddings.create(model=model, input=["A cat sat.", "A cat was sitting.", "Stock markets fell."])
    a, b, c = (e.embedding for e in embeddings.data)
    dot = lambda x, y: sum(p * q for p, q in zip(x, y))
    plain = client.embeddings.create(model=model, input="A cat sat.", encoding_format="float").data[0].embedding
    report(abs(dot(a, a) - 1) < 1e-4 and dot(a, b) > dot(a, c) and all(abs(p - q) < 1e-6 for p, q in zip(a, plain, strict=True)),
           "embeddings", f"{len(a)} numbers, related {dot(a, b):.3f} > unrelated {dot(a, c):.3f}")

    korean = "".join(c.choices[0].delta.content or "" for c in client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "안녕하세요를 세 번 써 줘."}], max_tokens=60, temperature=0, stream=True))
    report(korean.encode().decode() == korean, "Korean stream is whole characters", repr(korean[:30]))

    for name, wrong, kind in [
            ("unknown model", dict(fixed, model="gpt-9"), openai.NotFoundError),
            ("prompt beyond the context", dict(fixed, messages=[{"role": "user", "content": "word " * 5000}]), openai.BadRequestError),
            ("n of a million", dict(fixed, n=1000000), openai.BadRequestError)]:
        try:
            client.chat.completions.create(**wrong)
            report(False, name, "accepted")
        except kind as error:
            report(True, name, error.body.get("code"))
    try:
        openai.OpenAI(base_url=server.url + "/v1", api_key="wrong", max_retries=0).models.list()
        report(False, "wrong key", "accepted")
    except openai.AuthenticationError as error:
        report(True, "wrong key", error.status_code)

    prompts = [f"Say the number {i} and a word that rhymes with it." for i in range(8)]
    one = lambda p: client.chat.completions.create(model=model, messages=[{"role": "user", "content": p}],
                                                   temperature=0, max_tokens=24).choices[0].message.content
    alone = [one(p) for p in prompts]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        together = list(pool.map(one, prompts))
    report(alone == together, "8 clients at once get the answers they get alone", f"{sum(map(len, together))} characters")


def test_curl(server):
    base = ["curl", "-sS", "-N", "-H", f"Authorization: Bearer {KEY}", "-H", "Content-Type: application/json"]
    body = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8, "temperature": 0})
    run = lambda b: subprocess.run([*base, server.url + "/v1/chat/completions", "-d", b], capture_output=True, text=True).stdout
    whole = json.loads(run(body))["choices"][0]["message"]["content"]
    lines = run(body[:-1] + ', "stream": true}').splitlines()
    data = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    text = "".join(d["choices"][0]["delta"].get("content", "") for d in data)
    report(whole and text == whole and "data: [DONE]" in lines[-2:], "curl, streamed and not", repr(whole))
    big = subprocess.run([*base, "-o", "/dev/null", "-w", "%{http_code}", server.url + "/v1/completions", "--data-binary", "@-"],
                         input="x" * (10 << 20), capture_output=True, text=True).stdout
    report(big == "400", "curl with 10 MB of garbage", big)


def test_disconnects(server):
    """The slot must be free within 200 ms of the close, whichever state the request is in."""
    worst = 0.0
    for stream in (True, False):
        for text in ("Count from 1 to 500.", "word " * 1500):  # decoding; most likely still reading the prompt
            for _ in range(3):
                body = json.dumps({"messages": [{"role": "user", "content": text}], "max_tokens": 2000,
                                   "ignore_eos": True, "stream": stream})
                s = socket.create_connection(("127.0.0.1", server.port))
                s.sendall(post("/v1/chat/completions", body))
                for _ in range(400):
                    if server.metrics()["sllm_slots_active"] == 1:
                        break
                    time.sleep(0.005)
                else:
                    report(False, "a request takes a slot", "it did not")
                if text.startswith("Count"):
                    time.sleep(0.3)
                s.close()
                begin = time.monotonic()
                while server.metrics()["sllm_slots_active"] > 0 and time.monotonic() - begin < 5:
                    time.sleep(0.002)
                worst = max(worst, time.monotonic() - begin)
    report(worst <= FREED_WITHIN, "a client that leaves frees its slot", f"worst of 12: {worst * 1000:.0f} ms (bar {FREED_WITHIN * 1000:.0f} ms)")


def test_bad_requests(server):
    chat = "/v1/chat/completions"
    ok = '"messages":[{"role":"user","content":"hi"}],"max_tokens":1'
    bad = {
        "garbage": b"\x00\xff\x13garbage\r\n\r\n",
        "empty body": post(chat, ""),
        "not JSON": post(chat, "hello"),
        "10 MB of garbage": post(chat, b"\xfe" * (10 << 20)),
        "10 MB of [": post(chat, b"[" * (10 << 20)),
        "10 MB of text": post(chat, '{"messages":[{"role":"user","content":"' + "lorem ipsum " * (10 << 17) + '"}]}'),
        "20 MB": post(chat, b"a" * (20 << 20)),
        "wrong content type": post(chat, "{}").replace(b"application/json", b"text/plain"),
        "header of 100 KB": b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100000 + b"\r\n\r\n",
        "length and chunked": b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                              b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        "other host": b"GET /health HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        "other origin": post(chat, "{" + ok + "}", "Origin: http://evil.example\r\n"),
        "no key": post(chat, "{" + ok + "}").replace(KEY.encode(), b"sk-guess"),
        "unknown path": post("/v1/nothing", "{}"),
        "wrong method": b"PUT /v1/models HTTP/1.0\r\nHost: localhost\r\n\r\n",
    }
    for field, values in {"messages": ["1", "[1]", "[]", '"x"', '[{"role":"x","content":"y"}]', '[{"role":"user","content":7}]'],
                          "n": ["0", "1e9", '"1"'], "max_tokens": ["-1", "1.5", "[]"], "temperature": ["-1", '"hot"', "1e999"],
                          "top_p": ["2"], "stop": ["[1]", "{}"], "stream": ["1"], "seed": ["{}"], "logprobs": ["7"],
                          "logit_bias": ['{"99999999":1}', "[]"], "tools": ["[{}]"], "nonsense": ["1"]}.items():
        for value in values:
            fields = f'"{field}":{value}' + ("" if field == "messages" else "," + ok)
            bad[f"{field} = {value}"] = post(chat, "{" + fields + "}")
    wrong = []
    for name, data in bad.items():
        status, body = server.raw(data)
        try:
            error = json.loads(body)["error"]
            good = 400 <= status < 500 and error["message"] and {"type", "param", "code"} <= set(error)
        except (ValueError, KeyError):
            good = False
        if not good:
            wrong.append(f"{name}: {status} {body[:80]!r}")
    alive = server.raw(post(chat, "{" + ok + "}"))[0] == 200 and server.process.poll() is None
    report(not wrong and alive, "bad requests get a 4xx JSON error and nothing dies", f"{len(bad)} requests" if not wrong else "; ".join(wrong))


def main():
    if not SLLM or not Path(SLLM).exists():
        skip("openai_client: no sllm binary (SLLM_BIN)")
    if not MODEL.exists():
        skip(f"openai_client: {MODEL} is not there (SLLM_MODELS)")
    server = Server()
    try:
        try:
            test_openai_client(server)
        except ImportError:
            print("SKIP the openai package is not installed")
        test_curl(server)
        test_disconnects(server)
        test_bad_requests(server)
        server.process.terminate()
        report(server.process.wait(40) == 0, "SIGTERM ends the server cleanly", server.process.returncode)
    finally:
        server.process.kill()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
