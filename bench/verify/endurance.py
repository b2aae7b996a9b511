"""A server under clients of every kind for a long time: endurance.py SLLM MODEL [--minutes 30] [--streams 64] [--judge-times no]

64 clients at once ask for chats, completions, embeddings, JSON by a schema and functions through OpenAI's and Ollama's
APIs, streamed and whole, under two keys. They leave in the midst of answers, stop reading, send half requests, broken JSON,
wrong types, huge headers and bodies. From processes of its own, /health is asked twenty times a second and what a full queue
says is timed. Once a minute the clients pause: then no slot may be taken, memory is noted, and the time is measured from a
client's leaving to its slot's being free. Prints PASS or FAIL with the figure of each bar; exit 1 if one is missed.
"""
import argparse
import asyncio
import http.client
import json
import multiprocessing
import random
import signal
import statistics
import subprocess
import time
from pathlib import Path

KEYS = ["sk-first", "sk-second"]
SLOTS, QUEUE = 8, 32  # fewer than the clients, so that the queue is full at times
PAUSE_EVERY = 60.0
WORDS = "the of and a to in is you that it he was for on are with as I his they at be this have 서울 날씨 문서 질문 답변 연차 카드".split()
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}, "days": {"type": "integer"}}, "required": ["city", "days"],
          "additionalProperties": False}
TOOL = {"type": "function", "function": {"name": "weather", "description": "Weather of a city", "parameters": SCHEMA}}

failed = False


def report(good, name, figure):
    global failed
    failed |= not good
    print(f"{'PASS' if good else 'FAIL'} {name}: {figure}", flush=True)


def request(path, body, key=KEYS[0], more=""):
    body = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nConnection: close\r\n{more}"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def ask_once(port, method, path, body=None):
    """(status, body, seconds) of a request on a connection of its own."""
    begin = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, body, {"Authorization": f"Bearer {KEYS[0]}", "Content-Type": "application/json"})
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, text, time.perf_counter() - begin


def metrics(port):
    lines = ask_once(port, "GET", "/metrics")[1].decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line and line[0] != "#")}


def probe_health(port, stop, out):
    times = []
    while not stop.is_set():
        begin = time.perf_counter()
        status, _, seconds = ask_once(port, "GET", "/health")
        times.append(seconds if status == 200 else float("inf"))
        time.sleep(max(0.0, 0.05 - (time.perf_counter() - begin)))
    out.put(times)


def probe_full_queue(port, stop, out):
    refused = []
    body = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1})
    while not stop.is_set():
        status, _, seconds = ask_once(port, "POST", "/v1/chat/completions", body)
        if status == 429:
            refused.append(seconds)
        time.sleep(0.2)
    out.put(refused)


class Clients:
    """What the clients do, and what went wrong that was not theirs."""

    def __init__(self, port, streams, seed):
        self.port, self.streams, self.random = port, streams, random.Random(seed)
        self.counts, self.faults, self.running, self.paused = {}, [], True, False

    def words(self, most):
        return " ".join(self.random.choice(WORDS) for _ in range(self.random.randint(1, most)))

    def body(self):
        """(path, body) of a request that is right."""
        r, tokens = self.random, self.random.choice([1, 8, 24, 64])
        stream = r.random() < 0.6
        messages = [{"role": "user", "content": self.words(r.choice([8, 60, 300]))}]
        if r.random() < 0.4:
            messages.insert(0, {"role": "system", "content": "You are a helpful assistant. " * r.choice([1, 20])})
        common = {"max_tokens": tokens, "temperature": r.choice([0, 0.8]), "stream": stream, "seed": r.randint(0, 9)}
        return r.choice([
            lambda: ("/v1/chat/completions", {"messages": messages, "logprobs": True, "top_logprobs": 2, **common}),
            lambda: ("/v1/chat/completions", {"messages": messages, "n": r.randint(1, 3), "stop": ["the "], **common}),
            lambda: ("/v1/completions", {"prompt": self.words(40), "echo": r.random() < 0.3, **common}),
            lambda: ("/v1/chat/completions", {"messages": messages, "response_format": {"type": "json_schema", "json_schema": {
                "name": "plan", "schema": SCHEMA}}, **common}),
            lambda: ("/v1/chat/completions", {"messages": messages, "tools": [TOOL], "tool_choice": r.choice(["auto", "required"]), **common}),
            lambda: ("/v1/embeddings", {"input": [self.words(20) for _ in range(r.randint(1, 4))]}),
            lambda: ("/api/chat", {"model": "default", "messages": messages, "stream": stream, "options": {"num_predict": tokens}}),
            lambda: ("/api/generate", {"model": "default", "prompt": self.words(20), "stream": stream, "options": {"num_predict": tokens}}),
        ])()

    async def answer(self, reader):
        """(status, body) of a response that the server ends by closing."""
        whole = await asyncio.wait_for(reader.read(), 300)
        head, _, body = whole.partition(b"\r\n\r\n")
        if b"chunked" in head.lower():
            parts, rest = [], body
            while rest:
                size, _, rest = rest.partition(b"\r\n")
                parts.append(rest[:int(size, 16)])
                rest = rest[int(size, 16) + 2:]
            body = b"".join(parts)
        return int(head.split()[1]) if head else 0, head, body

    async def proper(self, reader, writer):
        path, body = self.body()
        writer.write(request(path, body, self.random.choice(KEYS)))
        await writer.drain()
        status, head, text = await self.answer(reader)
        if status == 429:
            return "refused, full"
        if status != 200:
            return self.fault(f"{path} {json.dumps(body, ensure_ascii=False)[:300]}: status {status} {text[:200]}")
        if b"event-stream" in head:
            if not text.endswith(b"data: [DONE]\n\n") or b'"error"' in text:
                return self.fault(f"{path}: a stream ended with {text[-200:]}")
        else:
            for line in text.splitlines() if b"ndjson" in head else [text]:
                json.loads(line)
        return "answered"

    async def leave(self, reader, writer):
        path, body = self.body()
        writer.write(request(path, {**body, "stream": True} if "embed" not in path else body))
        await asyncio.wait_for(reader.read(self.random.choice([1, 400, 2000])), 300)
        return "left"

    async def stall(self, reader, writer):
        writer.write(request("/v1/chat/completions", {"messages": [{"role": "user", "content": "Tell a story."}], "max_tokens": 64, "stream": True,
                                                      "ignore_eos": True}))
        await asyncio.wait_for(reader.read(100), 300)
        await asyncio.sleep(self.random.uniform(1, 8))
        return "stopped reading"

    async def garbage(self, reader, writer):
        r = self.random
        kind = r.randrange(8)
        if kind == 0:
            writer.write(r.randbytes(r.randint(1, 3000)))
        elif kind == 1:
            writer.write(request("/v1/chat/completions", b'{"messages": [' + b"[" * r.randint(0, 5000)))
        elif kind == 2:
            writer.write(request(r.choice(["/v1/chat/completions", "/v1/completions", "/api/chat", "/v1/embeddings"]),
                                 {"messages": r.choice([3, None, "x", {}, [1]]), "prompt": {"a": 1}, "input": 5, "tools": "x"}))
        elif kind == 3:
            whole = request(*self.body())
            writer.write(whole[:r.randrange(1, len(whole))])
            await writer.drain()
            return "sent half"
        elif kind == 4:
            writer.write(b"GET /health HTTP/1.1\r\nX-Long: " + b"a" * 40000 + b"\r\n\r\n")
        elif kind == 5:
            writer.write(request("/v1/chat/completions", b'{"messages": "' + b"a" * 10_000_000 + b'"}'))
        elif kind == 6:
            for byte in b"GET /hea":
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.2)
            return "sent slowly"
        else:
            writer.write(request("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}, key="sk-wrong"))
        try:
            await writer.drain()
            if kind == 0:  # may be the beginning of a request: the server waits for the rest
                writer.write_eof()
            status, _, text = await self.answer(reader)
        except (ConnectionError, OSError):
            return "cut off"  # a body that is too large is not read to its end
        if status and not 400 <= status < 500:
            return self.fault(f"garbage of kind {kind}: status {status} {text[:200]}")
        if status:
            json.loads(text)
        return "garbage refused"

    def fault(self, text):
        self.faults.append(text)
        return "fault"

    async def client(self):
        acts = [(self.proper, 10), (self.leave, 5), (self.stall, 1), (self.garbage, 4)]
        while self.running:
            if self.paused:
                await asyncio.sleep(0.05)
                continue
            act = self.random.choices([a for a, _ in acts], [w for _, w in acts])[0]
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
                try:
                    what = await act(reader, writer)
                finally:
                    writer.close()
            except Exception as error:  # whatever it is, it must not be lost
                what = self.fault(f"{act.__name__}: {type(error).__name__} {error}")
            self.counts[what] = self.counts.get(what, 0) + 1

    async def pause(self, rss):
        """Nobody asks: (memory in bytes, milliseconds from a client's leaving to its slot's being free)."""
        self.paused = True
        for _ in range(1200):
            await asyncio.sleep(0.1)
            now = await asyncio.to_thread(metrics, self.port)
            if now["sllm_slots_active"] + now["sllm_queue_waiting"] == 0 and now["sllm_http_requests_open"] <= 1:
                break
        else:
            self.fault(f"slots are taken though nobody asks: {now}")
        freed = []
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(request("/v1/chat/completions", {"messages": [{"role": "user", "content": "Tell a story."}], "max_tokens": 400, "stream": True,
                                                          "ignore_eos": True}))
            seen = b""
            while seen.count(b"data:") < 3:
                seen += await asyncio.wait_for(reader.read(1000), 60)
            writer.transport.abort()
            begin = time.perf_counter()
            while (await asyncio.to_thread(metrics, self.port))["sllm_slots_active"] > 0:
                pass
            freed.append(1000 * (time.perf_counter() - begin))
        memory = rss()
        self.paused = False
        return memory, freed

    async def run(self, minutes, rss):
        tasks = [asyncio.create_task(self.client()) for _ in range(self.streams)]
        begin, quiet, freed = time.monotonic(), [], []
        while time.monotonic() - begin < 60 * minutes:
            await asyncio.sleep(min(PAUSE_EVERY, 60 * minutes / 3))
            memory, took = await self.pause(rss)
            quiet.append(((time.monotonic() - begin) / 60, memory))
            freed += took
            print(f"  minute {quiet[-1][0]:.1f}: {memory / 1e6:.1f} MB, {self.counts}", flush=True)
        self.running = False
        await asyncio.wait(tasks, timeout=300)
        return quiet, freed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sllm")
    parser.add_argument("model")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--judge-times", choices=["yes", "no"], default="yes", help="no: under a sanitiser, which slows everything down")
    args = parser.parse_args()
    server = subprocess.Popen([args.sllm, "serve", "-m", args.model, "--name", "default", "--port", "0", "--parallel", str(SLOTS), "--queue", str(QUEUE),
                               "--context", "2048", "--api-key", KEYS[0], "--api-key", KEYS[1], "--json"], stdout=subprocess.PIPE, text=True)
    said = ""
    while True:
        line = server.stdout.readline()
        said += line
        if not line:
            raise SystemExit("FAIL the server did not start")
        try:
            port = json.loads(said)["port"]
            break
        except (json.JSONDecodeError, KeyError):
            continue

    def rss():
        status = Path(f"/proc/{server.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024

    stop, queues = multiprocessing.Event(), (multiprocessing.Queue(), multiprocessing.Queue())
    probes = [multiprocessing.Process(target=probe, args=(port, stop, queue)) for probe, queue in
              zip((probe_health, probe_full_queue), queues)]
    for probe in probes:
        probe.start()
    clients = Clients(port, args.streams, args.seed)
    quiet, freed = asyncio.run(clients.run(args.minutes, rss))
    stop.set()
    health, refused = (queue.get() for queue in queues)
    alive = server.poll() is None
    begin = time.monotonic()
    server.send_signal(signal.SIGTERM)
    try:
        status = server.wait(60)
    except subprocess.TimeoutExpired:
        server.kill()
        status = "none, it had to be killed"

    def at_most(values, limit, name):
        good = bool(values) and values[-1] <= limit
        report(good or args.judge_times == "no", name, f"{values[-1]:.1f} ms (bar {limit})" if values else "never measured")

    report(alive and not clients.faults, "what was not the clients' fault", f"{len(clients.faults)} of {sum(clients.counts.values())} requests" +
           "".join(f"\n  {f}" for f in clients.faults[:10]))
    for what in ("answered", "left", "stopped reading", "garbage refused", "refused, full"):
        report(clients.counts.get(what, 0) > 0, what, clients.counts.get(what, 0))
    at_most([1000 * statistics.quantiles(health, n=100)[98]], 20, f"/health, 99th percentile of {len(health)}")
    at_most(sorted(freed), 200, f"a slot free after its client left, worst of {len(freed)}")
    at_most([1000 * max(refused)] if refused else [], 50, f"a full queue says so, worst of {len(refused)}")
    settled = [memory for minute, memory in quiet if minute > min(5, args.minutes / 3)]
    growth = max(settled) / min(settled) - 1 if settled else float("inf")
    report(growth <= 0.02 or args.judge_times == "no", "memory after the first 5 minutes, largest over smallest of the pauses",
           f"{100 * growth:.2f} % of {min(settled, default=0) / 1e6:.0f} MB (bar 2 %)")
    report(status in (0, 143, -signal.SIGTERM), "ends at SIGTERM", f"exit {status} after {time.monotonic() - begin:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
