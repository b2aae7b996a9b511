"""A server under clients of every kind for a long time: endurance.py SLLM MODEL [--minutes 30] [--streams 64] [--judge no]

64 clients at once ask for everything that OpenAI's and Ollama's APIs offer here (endurance_requests.py), streamed and whole,
one request a connection and several, under two keys. Some leave in the midst of answers, some stop reading, some send half
requests, broken JSON, wrong types, slow headers, huge headers and bodies. From processes of its own /health is asked twenty
times a second, and what a full queue says is timed. Once a minute the clients pause: then no slot may be taken, memory and
open files are noted, and the time is measured from a client's leaving to its slot's being free. Prints PASS or FAIL with the
figure of each bar; exit 1 if one is missed.
"""
import argparse
import asyncio
import http.client
import json
import multiprocessing
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from endurance_requests import FULL, KEYS, MODEL, STORY, CONTEXT, WRONG, Answer, right, to_bytes

SLOTS, QUEUE = 8, 32  # fewer than the clients, so that the queue is full at times
PAUSE_EVERY = 60.0
ANSWER_LIMIT = 300  # seconds that a client waits
READ_LIMIT = WRITE_LIMIT = 30  # seconds that the server waits for a request, and for a reader
SLACK = 10


class Bars:
    """PASS or FAIL beside a figure; only the figure where nothing is judged."""

    def __init__(self, judge):
        self.judge, self.failed = judge, False

    def __call__(self, good, name, figure):
        self.failed |= not good and self.judge
        print(f"{('PASS' if good else 'FAIL') if self.judge else ' '} {name}: {figure}", flush=True)

    def at_most(self, figure, bar, unit, name):
        """None: it was never measured."""
        self(figure is not None and figure <= bar, name, "never measured" if figure is None else f"{figure:.1f} {unit} (bar {bar})")


def ask_once(port, path, body=None):
    """(status, body, seconds) of a request on a connection of its own."""
    begin = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_LIMIT)
    connection.request("POST" if body else "GET", path, body, {"Authorization": f"Bearer {KEYS[0]}", "Content-Type": "application/json"})
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, text, time.perf_counter() - begin


def metrics(port):
    lines = ask_once(port, "/metrics")[1].decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line and line[0] != "#")}


def probe(port, stop, pause, out, path, body, seconds, at_once, wanted):
    """Asks every so many seconds until `stop`, while fewer than so many wait for their answer and there is no `pause`: the times
    of the answers with the status wanted, and what went wrong."""
    times, faults = [], []

    def ask():
        try:
            status, text, took = ask_once(port, path, body)
            if status == wanted:
                times.append(took)
            elif status != 200:
                faults.append(f"{path}: status {status} {text[:200]}")
        except Exception as error:  # whatever it is, it must not be lost
            faults.append(f"{path}: {type(error).__name__} {error}")
    with ThreadPoolExecutor(at_once) as asking:
        waiting = set()
        while not stop.wait(seconds):
            waiting = {w for w in waiting if not w.done()}
            if len(waiting) < at_once and not pause.is_set():
                waiting.add(asking.submit(ask))
    out.put((times, faults))


async def read_answer(reader):
    """One answer, to its end and no further. Raises asyncio.IncompleteReadError where the server closed before."""
    first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest if line)}
    answer = Answer(int(first.split()[1]), headers)
    if headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            answer.body += (await reader.readexactly(size + 2))[:-2]
        assert await reader.readexactly(2) == b"\r\n", "bytes behind the last chunk"
    else:
        answer.body = await reader.readexactly(int(headers["content-length"]))
    if headers["connection"] == "close":
        assert await reader.read() == b"", "bytes behind the answer"
    return answer


class Clients:
    """What the clients do, and what went wrong that was not theirs."""

    def __init__(self, port, streams, seed, pause):
        self.port, self.streams, self.random, self.pause = port, streams, random.Random(seed), pause
        self.counts, self.faults, self.texts, self.running, self.pause_at = {}, [], {}, True, 0.0

    def paused(self):
        return self.pause.is_set()

    def time_for(self, seconds):
        return time.monotonic() + seconds < self.pause_at

    async def proper(self, reader, writer):
        """One request, or several on the connection."""
        left = self.random.choice([1, 1, 3])
        while left:
            left -= 1
            request = right(self.random)
            writer.write(to_bytes(request.path, request.body, self.random.choice(KEYS), keep=left > 0))
            await writer.drain()
            answer = await asyncio.wait_for(read_answer(reader), ANSWER_LIMIT)
            self.judge(request, answer)
            if answer.headers["connection"] == "close" or self.paused():
                break

    def judge(self, request, answer):
        if answer.status == FULL:
            return self.count("refused, full")
        try:
            assert answer.status == 200, f"status {answer.status}"
            text = request.check(answer)
            if request.same and text != self.texts.setdefault(request.same, text):
                raise AssertionError(f"another answer than before: {text!r} and {self.texts[request.same]!r}")
        except Exception as error:
            return self.fault(f"{request.path} {json.dumps(request.body, ensure_ascii=False)[:400]}: {type(error).__name__} {error}; {answer.body[-200:]}")
        self.count("compared with the same before" if request.same else "answered")

    async def leave(self, reader, writer):
        request = right(self.random)
        writer.write(to_bytes(request.path, request.body, self.random.choice(KEYS)))
        await asyncio.wait_for(reader.read(self.random.choice([1, 400, 2000])), ANSWER_LIMIT)
        writer.transport.abort() if self.random.random() < 0.5 else writer.close()
        self.count("left")

    async def stall(self, reader, writer):
        writer.write(to_bytes("/v1/chat/completions", {"messages": STORY, "max_tokens": 64, "stream": True, "ignore_eos": True}))
        await asyncio.wait_for(reader.read(100), ANSWER_LIMIT)
        await asyncio.sleep(self.random.uniform(1, 8))
        self.count("stopped reading")

    async def never_read(self):
        """Takes nothing of an answer that no buffer holds: the server must drop the client."""
        with socket.socket() as s:  # its own, for the buffers must be small before it connects
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
            s.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(s, ("127.0.0.1", self.port))
            await loop.sock_sendall(s, to_bytes("/v1/chat/completions", {"messages": STORY, "max_tokens": 100, "n": 2, "stream": True,
                                                                        "ignore_eos": True, "logprobs": True, "top_logprobs": 20}))
            for _ in range(WRITE_LIMIT + SLACK):
                await asyncio.sleep(1 if self.running else 0)
        self.count("never read")

    async def garbage(self, reader, writer):
        name, make, statuses = self.random.choice(WRONG)

        async def send():  # the answer may come before all is sent
            writer.write(make(self.random))
            await writer.drain()
            if 0 in statuses:  # may be the beginning of a request: the server waits for the rest
                writer.write_eof()
        sending = asyncio.create_task(send())
        try:
            answer = await asyncio.wait_for(read_answer(reader), ANSWER_LIMIT)
            if answer.status not in statuses:
                return self.fault(f"{name}: status {answer.status} {answer.body[:200]}, expected {statuses}")
            answer.json()["error"]
        except asyncio.IncompleteReadError as closed:
            if closed.partial or 0 not in statuses:
                return self.fault(f"{name}: closed after {closed.partial[:200]}")
        except Exception as error:
            return self.fault(f"{name}: {type(error).__name__} {error}")
        finally:
            sending.cancel()
            await asyncio.wait([sending])
        self.count("garbage refused")

    async def half(self, reader, writer):
        request = right(self.random)
        whole = to_bytes(request.path, request.body)
        writer.write(whole[:self.random.randrange(1, len(whole))])
        await writer.drain()
        self.count("sent half")

    async def slow(self, reader, writer):
        """A byte a second: the server must close before the request is there."""
        if not self.time_for(READ_LIMIT + SLACK):
            return
        begin = time.monotonic()
        closed = asyncio.create_task(reader.read())
        for byte in b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"a" * READ_LIMIT:
            if closed.done():
                break
            writer.write(bytes([byte]))
            await asyncio.sleep(1)
        took = time.monotonic() - begin
        if not closed.done() or took > READ_LIMIT + SLACK:
            return self.fault(f"a header that took {took:.0f} s was waited for")
        self.count("sent slowly")

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def fault(self, text):
        self.count("fault")
        self.faults.append(text)

    async def client(self):
        acts = {self.proper: 100, self.leave: 50, self.stall: 8, self.garbage: 40, self.half: 8, self.slow: 2}
        while self.running:
            if self.paused():
                await asyncio.sleep(0.05)
                continue
            act = self.random.choices(list(acts), list(acts.values()))[0]
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
                try:
                    await act(reader, writer)
                finally:
                    writer.close()
            except Exception as error:  # whatever it is, it must not be lost
                self.fault(f"{act.__name__}: {type(error).__name__} {error}")

    async def sleeper(self):
        while self.running:
            if not self.paused():
                await self.never_read()
            await asyncio.sleep(1)

    async def quiet(self):
        """Waits until the server has nothing to do."""
        now = {}
        for _ in range(10 * ANSWER_LIMIT):
            await asyncio.sleep(0.1)
            now = await asyncio.to_thread(metrics, self.port)
            if now["sllm_slots_active"] + now["sllm_queue_waiting"] == 0 and now["sllm_http_connections"] <= 2:  # this one and the sleeper's
                return
        self.fault(f"slots or connections are taken though nobody asks: {now}")

    async def time_to_free(self, messages, begun):
        """Milliseconds from a client's leaving to its slot's being free, once begun(bytes so far)."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(to_bytes("/v1/chat/completions", {"messages": messages, "max_tokens": 400, "stream": True, "ignore_eos": True}))
        await asyncio.wait_for(begun(reader), ANSWER_LIMIT)
        writer.transport.abort()
        begin = time.perf_counter()
        while (await asyncio.to_thread(metrics, self.port))["sllm_slots_active"] > 0:
            pass
        return 1000 * (time.perf_counter() - begin)

    async def times_to_free(self):
        """Of clients that leave in the midst of an answer, and while their prompt is read."""
        async def some_tokens(reader):
            seen = b""
            while seen.count(b"data:") < 4:
                seen += (more := await reader.read(1000))
                assert more, f"no stream: {seen}"

        async def a_slot(reader):
            while (await asyncio.to_thread(metrics, self.port))["sllm_slots_active"] == 0:
                pass
        long = [{"role": "user", "content": f"{self.random.random()} " + "word " * (CONTEXT * 2 // 3)}]  # not one that is kept
        return [await self.time_to_free(STORY, some_tokens), await self.time_to_free(STORY, some_tokens), await self.time_to_free(long, a_slot)]

    async def run(self, minutes, notes):
        """[(minute, *notes())] and [ms to free a slot] of each pause."""
        begin, noted, freed = time.monotonic(), [], []
        tasks = [asyncio.create_task(self.client()) for _ in range(self.streams)] + [asyncio.create_task(self.sleeper())]
        while time.monotonic() - begin < 60 * minutes:
            self.pause_at = time.monotonic() + min(PAUSE_EVERY, 60 * minutes / 2)
            self.pause.clear()
            await asyncio.sleep(self.pause_at - time.monotonic())
            self.pause.set()
            await self.quiet()
            freed += await self.times_to_free()
            noted.append(((time.monotonic() - begin) / 60, *notes()))
            print(f"  minute {noted[-1][0]:.1f}: {noted[-1][1] / 1e6:.1f} MB, {noted[-1][2]} files; {self.counts}", flush=True)
        self.running = False  # still in the pause
        for task in (await asyncio.wait(tasks, timeout=2 * ANSWER_LIMIT))[1]:
            self.fault(f"a client still waits: {task.get_stack()}")
        return noted, freed

    async def end(self, server):
        """SIGTERM with answers on their way: (how many came whole of how many, exit status, seconds)."""
        async def one():
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(to_bytes("/v1/chat/completions", {"messages": STORY, "max_tokens": 48, "stream": True, "ignore_eos": True}))
            await reader.readuntil(b"data:")
            begun.release()
            rest = await reader.read()
            writer.close()
            return rest.endswith(b"0\r\n\r\n") and b"[DONE]" in rest
        begun, asking = asyncio.Semaphore(0), [asyncio.create_task(one()) for _ in range(SLOTS)]
        for _ in asking:
            await asyncio.wait_for(begun.acquire(), ANSWER_LIMIT)
        begin = time.monotonic()
        server.send_signal(signal.SIGTERM)
        whole = sum(answer is True for answer in await asyncio.gather(*asking, return_exceptions=True))
        try:
            status = await asyncio.to_thread(server.wait, ANSWER_LIMIT)
        except subprocess.TimeoutExpired:
            status = "none"
        return whole, len(asking), status, time.monotonic() - begin


def start(sllm, model, said):
    server = subprocess.Popen([sllm, "serve", "-m", model, "--name", MODEL, "--port", "0", "--parallel", str(SLOTS), "--queue", str(QUEUE), "--context",
                               str(CONTEXT), "--api-key", KEYS[0], "--api-key", KEYS[1], "--json"], stdout=subprocess.PIPE, stderr=said, text=True)
    about = ""
    while line := server.stdout.readline():
        about += line
        try:
            return server, json.loads(about)["port"]
        except json.JSONDecodeError:  # the object has more lines
            pass
    raise SystemExit(f"FAIL the server did not start: {Path(said.name).read_text()}")


def notes_of(pid):
    """(bytes of resident memory, open files)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024, len(list(Path(f"/proc/{pid}/fd").iterdir()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sllm")
    parser.add_argument("model")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--judge", choices=["yes", "no"], default="yes", help="no: under a sanitiser, whose own reports are what counts")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the server does not outlive this
    said = tempfile.NamedTemporaryFile("w+")
    server, port = start(args.sllm, args.model, said)
    stop, pause, outs = multiprocessing.Event(), multiprocessing.Event(), [multiprocessing.Queue() for _ in range(2)]
    short = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1})
    probes = [multiprocessing.Process(target=probe, args=(port, stop, pause, out, *what), daemon=True) for out, what in zip(outs, [
        ("/health", None, 0.05, 1, 200), ("/v1/chat/completions", short, 0.2, SLOTS, FULL)])]
    try:
        for process in probes:
            process.start()
        clients = Clients(port, args.streams, args.seed, pause)
        noted, freed = asyncio.run(clients.run(args.minutes, lambda: notes_of(server.pid)))
        stop.set()
        (health, faults), (full, more) = (out.get() for out in outs)
        clients.faults += faults + more
        last = metrics(port)
        whole, asked, status, seconds = asyncio.run(clients.end(server))
    finally:
        server.kill()
    say = Bars(args.judge == "yes")
    say(not clients.faults, "what was not the clients' fault",
        f"{len(clients.faults)} of {sum(clients.counts.values())} requests" + "".join(f"\n    {f}" for f in clients.faults[:20]))
    say(clients.counts.get("answered", 0) > 0, "what the clients did", clients.counts)
    broken = {name: int(n) for name, n in last.items() if 'status="5' in name}
    say(not broken, "answers of 5xx that the server counted", broken or 0)
    log = [line for line in Path(said.name).read_text().splitlines() if line.startswith(("error", "critical"))]
    say(not log, "errors in the server's log", "".join(f"\n    {line}" for line in log[:20]) or 0)
    say(last["sllm_http_slow_readers_total"] > 0 or args.minutes < 2, "clients dropped that never read", int(last["sllm_http_slow_readers_total"]))
    say.at_most(1000 * statistics.quantiles(health, n=100)[98] if len(health) > 1 else None, 20, "ms", f"/health, 99th percentile of {len(health)}")
    say.at_most(max(freed, default=None), 200, "ms", f"a slot free after its client left, worst of {len(freed)}")
    say.at_most(1000 * max(full) if full else None, 50, "ms", f"a full queue says so, worst of {len(full)}")
    settled = [(memory, files) for minute, memory, files in noted if minute > min(5, args.minutes / 3)]
    memory, files = zip(*settled)
    say.at_most(100 * (max(memory) / min(memory) - 1), 2, "%", f"memory after the first 5 minutes, largest over smallest of {len(memory)} pauses, beyond 1; "
                f"smallest {min(memory) / 1e6:.0f} MB")
    say(max(files) <= min(files) + 2, "open files at these pauses", f"{min(files)} to {max(files)} (bar: 2 more)")
    say(status in (0, 128 + signal.SIGTERM) and whole == asked and seconds < READ_LIMIT, "ends at SIGTERM",
        f"status {status} after {seconds:.1f} s, {whole} of {asked} answers that were on their way came whole")
    return 1 if say.failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
