"""Two servers, `sllm serve` and llama-server, asked the same by the same client over their OpenAI interfaces.

A server is started for each turn, so that what one turn left in its prefix cache helps no other, and answers one short
request before the clock runs.
"""
import contextlib
import http.client
import json
import queue
import random
import re
import socket
import statistics
import subprocess
import threading
import time
import urllib.parse

from inference import file_of
from programs import SHARED, SLLM, THREADS, llama
from turns import Beside, Case, Unavailable

SLOTS, CONTEXT = 8, 2048


def ask(url, messages, tokens):
    """Streams one answer of exactly `tokens` tokens. (seconds to the first of them, seconds, tokens of the prompt)"""
    where = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=600)
    begin, first, usage = time.perf_counter(), None, {}
    body = {"model": "default", "messages": messages, "max_tokens": tokens, "temperature": 0, "stream": True, "ignore_eos": True,
            "stream_options": {"include_usage": True}}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        raise RuntimeError(f"{url}: {response.status} {response.read(500)}")
    for line in response:
        if not line.startswith(b"data: {"):
            continue
        chunk = json.loads(line[6:])
        usage = chunk.get("usage") or usage
        if first is None and any(c["delta"].get("content") for c in chunk["choices"]):
            first = time.perf_counter() - begin
    connection.close()
    if usage.get("completion_tokens") != tokens:
        raise RuntimeError(f"{url}: asked for {tokens} tokens, the answer has {usage}")
    return first, time.perf_counter() - begin, usage["prompt_tokens"]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def serving(command, url):
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(1200):
            if process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended with {process.returncode}")
            try:
                ask(url, [{"role": "user", "content": "Hello"}], 1)
                break
            except (OSError, RuntimeError):  # not listening yet, or still loading (503)
                time.sleep(0.1)
        else:
            raise RuntimeError(f"{command[0]} does not answer at {url}")
        yield url
    finally:
        process.terminate()
        process.wait()


def ours(name):
    port = free_port()
    return serving([SLLM, "serve", "-m", file_of(name), "--name", "default", "--port", port, "--mode", "fast", "--parallel", SLOTS, "-c", CONTEXT,
                    "-t", THREADS], f"http://127.0.0.1:{port}")


def theirs(name):
    port = free_port()
    return serving([llama("llama-server"), "-m", file_of(name), "--port", port, "-np", SLOTS, "-c", SLOTS * CONTEXT, "-t", THREADS, "-tb", THREADS],
                   f"http://127.0.0.1:{port}")


def words(count, seed):
    """English text from wikitext-2, beginning anywhere in it."""
    source = SHARED / "data/wikitext2/wiki.test.raw"
    if not source.exists():
        raise Unavailable(f"{source} is not there")
    text = re.sub(r"\s+", " ", source.read_text(encoding="utf-8")).split(" ")
    begin = random.Random(seed).randrange(len(text) - count)
    return " ".join(text[begin:begin + count])


def traffic(name, at_least, requests=32, connections=8, tokens=64):
    """`requests` conversations with one long system prompt (about 1,000 tokens) and own questions (about 50), `connections` at
    a time: finished requests a second, and the 95th percentile of the seconds to the first token."""
    def measure(server):
        system = words(760, 0)
        waiting = queue.SimpleQueue()
        for i in range(requests):
            waiting.put([{"role": "system", "content": system}, {"role": "user", "content": words(36, 1 + i)}])
        done = []

        def client(url):
            while True:
                try:
                    messages = waiting.get_nowait()
                except queue.Empty:
                    return
                done.append(ask(url, messages, tokens))
        with server(name) as url:
            begin = time.perf_counter()
            clients = [threading.Thread(target=client, args=(url,)) for _ in range(connections)]
            for c in clients:
                c.start()
            for c in clients:
                c.join()
            seconds = time.perf_counter() - begin
        if len(done) != requests:
            raise RuntimeError(f"{len(done)} of {requests} requests were answered")
        return {"value": requests / seconds, "p95": statistics.quantiles([d[0] for d in done], n=20)[-1],
                "prompt": statistics.median(d[2] for d in done)}

    def beside(a, b):
        return [Beside("p95 of seconds to the first token over the peer's", a["p95"] / b["p95"], at_most=0.5),
                Beside("seconds", a["p95"]), Beside("tokens of a prompt", a["prompt"])]
    return Case(f"server, {requests} requests over {connections} connections", name, "llama-server", "requests/s", lambda: measure(ours),
                lambda: measure(theirs), at_least, beside=beside)


def first_word(name, at_least, characters=3000):
    """A question about Korean paragraphs, as a grounded answer asks it."""
    def measure(server):
        source = SHARED / "data/korquad1"
        files = sorted(source.glob("*.json"))
        if not files:
            raise Unavailable(f"{source} holds no data")
        articles = json.loads(files[0].read_text(encoding="utf-8"))["data"]
        text = "\n\n".join(p["context"] for a in articles for p in a["paragraphs"])[:characters]
        question = articles[0]["paragraphs"][0]["qas"][0]["question"]
        with server(name) as url:
            first, _, prompt = ask(url, [{"role": "system", "content": text}, {"role": "user", "content": question}], 4)
        return {"value": first, "prompt": prompt}
    return Case(f"first word after {characters} Korean characters", name, "llama-server", "s", lambda: measure(ours), lambda: measure(theirs),
                at_least, more_is_better=False, beside=lambda a, b: [Beside("tokens of the prompt", a["prompt"])])


def cases():
    return [traffic("L Q4_K_M", 2.5), first_word("M", 2.0), first_word("L Q4_K_M", 2.0)]
