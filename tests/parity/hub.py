"""The hub cache: `sllm pull`, `list` and `rm` against huggingface_hub, on one hub of ours.

Both programs fetch the same repositories from a small hub on the loopback (with its storage on
another port, as the real one has) and must leave the same blobs, snapshots and refs; what one has
downloaded the other finds, offline and without a byte more; sizes and freed bytes agree. Then the
program as a process: exit codes, kill -9 and resume, several at once, the token. Exact throughout.
"""
import hashlib
import http.server
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.pop(0)  # the files beside this one are not the libraries of the same name
SLLM = os.environ["SLLM_BIN"]
TOKEN = "hf_parity_secret"
FAILED = []


def check(what, good, detail=""):
    print(f"{'PASS' if good else 'FAIL'} {what}{': ' + str(detail) if detail and not good else ''}", flush=True)
    if not good:
        FAILED.append(what)


def noise(size, seed):
    return random.Random(seed).randbytes(size)


def git_sha1(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def is_lfs(name):
    return name.endswith((".safetensors", ".gguf", ".bin"))


class Hub:
    """repos: {"org/name": {commit: {file: bytes}}}; refs: {("org/name", "main"): commit}."""

    def __init__(self):
        self.repos, self.refs, self.gated, self.log = {}, {}, set(), []
        self.sent = 0            # bytes of large files
        self.pause = 0.0         # between blocks of a large file
        self.spoil = None        # (handler, content) -> True when it has answered
        self.lock = threading.Lock()
        self.storage = self.serve(self.get_object)
        self.hub = self.serve(self.answer)
        self.url = f"http://127.0.0.1:{self.hub.server_port}"

    def serve(self, function):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                try:
                    function(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            do_HEAD = do_GET

            def log_message(self, *unused):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def note(self, where, h):
        with self.lock:
            self.log.append((where, h.command, h.path, dict(h.headers)))

    @staticmethod
    def reply(h, status, headers=(), body=b""):
        h.send_response(status)
        for name, value in headers:
            h.send_header(name, value)
        h.send_header("Content-Length", str(len(body)))
        h.end_headers()
        if h.command != "HEAD":
            h.wfile.write(body)

    def refuse(self, h, status, code):
        self.reply(h, status, [("X-Error-Code", code), ("X-Error-Message", code)])

    def answer(self, h):
        self.note("hub", h)
        url = urllib.parse.urlsplit(h.path)
        api = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(revision|tree)/([^/]+)", url.path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", url.path)
        if not (api or file) or (api or file).group(1) not in self.repos:
            return self.refuse(h, 401, "RepoNotFound")
        repo = (api or file).group(1)
        if repo in self.gated and h.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.refuse(h, 401, "GatedRepo")
        revision = urllib.parse.unquote(api.group(3) if api else file.group(2))
        commit = self.refs.get((repo, revision), revision)
        if commit not in self.repos[repo]:
            return self.refuse(h, 404, "RevisionNotFound")
        files = self.repos[repo][commit]
        if api:
            body = self.tree(files) if api.group(2) == "tree" else self.info(repo, commit, files, url.query)
            return self.reply(h, 200, [("Content-Type", "application/json")], json.dumps(body).encode())
        name = urllib.parse.unquote(file.group(3))
        if name not in files:
            return self.refuse(h, 404, "EntryNotFound")
        content = files[name]
        if not is_lfs(name):
            return self.reply(h, 200, [("ETag", f'"{git_sha1(content)}"'), ("X-Repo-Commit", commit)], content)
        sha = hashlib.sha256(content).hexdigest()
        self.reply(h, 302, [("X-Repo-Commit", commit), ("X-Linked-Etag", f'"{sha}"'), ("X-Linked-Size", str(len(content))),
                            ("Location", f"http://127.0.0.1:{self.storage.server_port}/{sha}?signature=1")])

    @staticmethod
    def info(repo, commit, files, query):
        siblings = [{"rfilename": n} for n in sorted(files)]
        if "blobs=true" in query.lower():
            for one in siblings:
                content = files[one["rfilename"]]
                one.update(size=len(content), blobId=git_sha1(content))
                if is_lfs(one["rfilename"]):
                    one["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
        return {"id": repo, "modelId": repo, "sha": commit, "private": False, "tags": [], "downloads": 0, "likes": 0,
                "siblings": siblings}

    @staticmethod
    def tree(files):
        out = []
        for name, content in sorted(files.items()):
            one = {"type": "file", "path": name, "size": len(content), "oid": git_sha1(content)}
            if is_lfs(name):
                one["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
            out.append(one)
        return out

    def get_object(self, h):
        self.note("storage", h)
        sha = h.path[1:].split("?")[0]
        for commits in self.repos.values():
            for files in commits.values():
                for content in files.values():
                    if hashlib.sha256(content).hexdigest() == sha:
                        return self.send(h, content)
        self.reply(h, 404)

    def send(self, h, content):
        if self.spoil and self.spoil(h, content):
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", h.headers.get("Range", ""))
        start = int(asked.group(1)) if asked else 0
        h.send_response(206 if start else 200)
        if start:
            h.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        h.send_header("Content-Length", str(len(content) - start))
        h.send_header("ETag", '"of-the-storage"')
        h.end_headers()
        for at in range(start, len(content), 1 << 16):
            block = content[at:at + (1 << 16)]
            h.wfile.write(block)
            with self.lock:
                self.sent += len(block)
            time.sleep(self.pause)


def make_hub():
    hub = Hub()
    card = b"---\nlicense: mit\n---\n# A model\n"
    one = {"config.json": b'{"model_type": "llama"}', "tokenizer.json": b"{}", "generation_config.json": b"{}",
           "README.md": card, "model.safetensors.index.json":
           json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}).encode(),
           "model-00001-of-00002.safetensors": noise(900_000, 1), "model-00002-of-00002.safetensors": noise(400_000, 2),
           "pytorch_model.bin": b"pickle"}
    two = dict(one, **{"model-00002-of-00002.safetensors": noise(400_001, 3)})
    hub.repos["org/folder"] = {"1" * 40: one, "2" * 40: two}
    hub.refs.update({("org/folder", "main"): "1" * 40, ("org/folder", "refs/pr/3"): "2" * 40})
    hub.repos["org/gguf"] = {"3" * 40: {"README.md": card, "m.Q8_0.gguf": noise(700_000, 4), "m.Q4_K_M.gguf": noise(300_000, 5),
                                        "F16/m-F16-00001-of-00002.gguf": noise(500_000, 6),
                                        "F16/m-F16-00002-of-00002.gguf": noise(600_000, 7)}}
    hub.refs[("org/gguf", "main")] = "3" * 40
    hub.repos["org/gated"] = {"4" * 40: {"m.gguf": noise(100_000, 8)}}
    hub.refs[("org/gated", "main")] = "4" * 40
    hub.gated.add("org/gated")
    return hub


def layout(cache):
    """Path -> what is there, of blobs, snapshots and refs."""
    out = {}
    for path in sorted(pathlib.Path(cache).glob("models--*/**/*")):
        name = str(path.relative_to(cache))
        if not re.match(r"models--[^/]+/(blobs|snapshots|refs)/", name) or (path.is_dir() and not path.is_symlink()):
            continue
        out[name] = "-> " + os.readlink(path) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
    return out


class Programs:
    def __init__(self, hub, root):
        self.hub, self.root = hub, root

    def environment(self, cache, **more):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING", "TRANSFORMERS_"))}
        env.update(HF_ENDPOINT=self.hub.url, HF_HOME=str(self.root / "home"), HF_HUB_CACHE=str(cache),
                   HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HUB_DISABLE_XET="1", **more)
        return env

    def sllm(self, cache, *arguments, **more):
        return subprocess.run([SLLM, *arguments], env=self.environment(cache, **more), capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=300)

    def python(self, cache, code, **more):
        done = subprocess.run([sys.executable, "-c", "from huggingface_hub import *\n" + code], capture_output=True, text=True,
                              env=self.environment(cache, **more), cwd=self.root, timeout=300)
        return done.stdout.strip() if done.returncode == 0 else f"FAILED {done.stderr[-600:]}"


WANTED = '["*.json", "*.safetensors", "README.md"]'


def compare_layouts(p):
    ours, theirs = p.root / "ours", p.root / "theirs"
    for name in ("hf:org/folder", "hf:org/folder@refs/pr/3", "hf:org/gguf:F16", "hf:org/gguf"):
        done = p.sllm(ours, "pull", "-q", name)
        check(f"sllm pull {name}", done.returncode == 0, done.stderr)
    said = p.python(theirs, f"""
snapshot_download("org/folder", allow_patterns={WANTED})
snapshot_download("org/folder", revision="refs/pr/3", allow_patterns={WANTED})
snapshot_download("org/gguf", allow_patterns=["F16/*", "README.md", "m.Q4_K_M.gguf"])""")
    check("huggingface_hub fetches the same", not said.startswith("FAILED"), said)
    a, b = layout(ours), layout(theirs)
    check(f"the same {len(a)} blobs, links and refs", a == b and len(a) > 20, sorted(set(a.items()) ^ set(b.items()))[:8])
    return ours, theirs


def use_each_others(p, ours, theirs):
    before = p.hub.sent
    said = p.python(ours, f"""
print(snapshot_download("org/folder", allow_patterns={WANTED}))
print(hf_hub_download("org/gguf", "F16/m-F16-00002-of-00002.gguf"))""")
    check("what we fetched, huggingface_hub finds", said.split() == [
        f"{ours}/models--org--folder/snapshots/{'1' * 40}",
        f"{ours}/models--org--gguf/snapshots/{'3' * 40}/F16/m-F16-00002-of-00002.gguf"], said)
    for name in ("hf:org/folder", "hf:org/gguf:F16"):
        check(f"what huggingface_hub fetched, `sllm pull {name}` finds", p.sllm(theirs, "pull", name).returncode == 0)
    check("and not a byte was sent again", p.hub.sent == before, p.hub.sent - before)
    asked = len(p.hub.log)
    said = p.python(ours, """
print(hf_hub_download("org/folder", "config.json", revision="refs/pr/3"))
print(try_to_load_from_cache("org/gguf", "m.Q4_K_M.gguf"))""", HF_HUB_OFFLINE="1")
    check("offline too", "FAILED" not in said and "None" not in said, said)
    done = p.sllm(theirs, "pull", "--json", "hf:org/folder@refs/pr/3", HF_HUB_OFFLINE="1")
    check("both ways", done.returncode == 0 and json.loads(done.stdout)["path"].endswith("2" * 40), done.stderr)
    check("and nobody was asked", len(p.hub.log) == asked)


def compare_sizes(p, ours):
    listed = json.loads(p.sllm(ours, "list", "--cached", "--json").stdout)
    names = sorted((m["name"], m["format"], m["bytes"]) for m in listed["cache"])
    check("`sllm list` names what is there", [n[0] for n in names] == [
        "hf:org/folder", "hf:org/folder@refs/pr/3", "hf:org/gguf/F16/m-F16-00001-of-00002.gguf", "hf:org/gguf/m.Q4_K_M.gguf"], names)
    said = p.python(ours, """
scan = scan_cache_dir()
assert not scan.warnings, scan.warnings
sizes = {r.commit_hash: r.size_on_disk for repo in scan.repos for r in repo.revisions}
print(*[sizes[c * 40] for c in "12"], scan.delete_revisions("2" * 40).expected_freed_size,
      scan.delete_revisions("1" * 40, "2" * 40).expected_freed_size)""")
    check("huggingface_hub scans our cache without a warning", "FAILED" not in said, said)
    if "FAILED" in said:
        return
    one, two, freed, freed_both = map(int, said.split())
    sizes = {n[0]: n[2] for n in names}
    check("sizes as huggingface_hub's", (sizes["hf:org/folder"], sizes["hf:org/folder@refs/pr/3"]) == (one, two), (sizes, one, two))
    plan = json.loads(p.sllm(ours, "rm", "--dry-run", "--json", "hf:org/folder").stdout)
    check("a whole repository would free as many", plan["would_free_bytes"] == freed_both, (plan, freed_both))
    done = p.sllm(ours, "rm", "hf:org/folder@refs/pr/3")
    check("rm asks somebody or --yes", done.returncode == 2 and "--yes" in done.stderr, done.stderr)
    done = p.sllm(ours, "rm", "--yes", "--json", "hf:org/folder@refs/pr/3")
    check("rm frees what huggingface_hub would", json.loads(done.stdout)["freed_bytes"] == freed, (done.stdout, freed))
    said = p.python(ours, f'print(snapshot_download("org/folder", allow_patterns={WANTED}, local_files_only=True))')
    check("and leaves the other revision whole", said.endswith("1" * 40), said)


def exit_codes(p):
    cache = p.root / "codes"

    def expect(what, code, sentence, *arguments, **more):
        done = p.sllm(cache, *arguments, **more)
        left = [n for n in layout(cache) if ("/snapshots/" in n and n.endswith(".gguf")) or n.endswith("/refs/main")]
        check(f"{what}: exit {code}", done.returncode == code and sentence in done.stderr and not left,
              (done.returncode, done.stderr[-300:], left))
        check(f"{what}: the token is not shown", TOKEN not in done.stderr + done.stdout)

    expect("no such repository", 5, "Check the name", "pull", "hf:org/none", HF_TOKEN=TOKEN)
    expect("no such file", 5, "no such file", "pull", "hf:org/gguf:x.gguf")
    expect("no such type", 2, "it has F16, Q4_K_M, Q8_0", "pull", "hf:org/gguf:Q2_K")
    expect("no such revision", 5, "no such revision", "pull", "hf:org/gguf@v9")
    expect("gated", 5, "Accept the model's terms", "pull", "hf:org/gated")
    expect("offline", 5, "HF_HUB_OFFLINE", "pull", "hf:org/gguf", HF_HUB_OFFLINE="1")

    def wrong_bytes(h, content):
        p.hub.reply(h, 200, body=b"z" * len(content))
        return True

    def web_page(h, content):
        p.hub.reply(h, 200, [("Content-Type", "text/html")], b"<html>log in</html>")
        return True

    p.hub.spoil = wrong_bytes
    expect("other bytes", 3, "SHA-256", "pull", "hf:org/gguf:Q8_0")
    p.hub.spoil = web_page
    expect("a web page", 5, "a web page came", "pull", "hf:org/gguf:Q8_0")
    p.hub.spoil = None
    done = p.sllm(cache, "pull", "hf:org/gated", HF_TOKEN=TOKEN)
    check("gated, with a token", done.returncode == 0, done.stderr)
    leaks = [r for r in p.hub.log if r[0] == "storage" and "Authorization" in r[3]]
    check("the storage never sees the token", not leaks, leaks[:1])


def kill_and_resume(p):
    cache = p.root / "killed"
    sha = hashlib.sha256(p.hub.repos["org/gguf"]["3" * 40]["m.Q8_0.gguf"]).hexdigest()
    part = cache / "models--org--gguf" / "blobs" / (sha + ".incomplete")
    p.hub.pause = 0.05
    process = subprocess.Popen([SLLM, "pull", "-q", "hf:org/gguf:m.Q8_0.gguf"], env=p.environment(cache))
    while process.poll() is None and not (part.exists() and part.stat().st_size > 200_000):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    there = part.stat().st_size if part.exists() else 0
    check("killed in the middle: only the part is left", there > 200_000 and not list(cache.glob("models--*/snapshots/*/*")), there)
    p.hub.pause, before = 0.0, len(p.hub.log)
    done = p.sllm(cache, "pull", "-q", "hf:org/gguf:m.Q8_0.gguf")
    ranges = [r[3].get("Range") for r in p.hub.log[before:] if r[0] == "storage"]
    good = done.returncode == 0 and hashlib.sha256(pathlib.Path(done.stdout.strip()).read_bytes()).hexdigest() == sha
    check("and the next one goes on from there", good and ranges == [f"bytes={there}-"], (done.stderr, ranges, there))


def several_at_once(p):
    cache, before = p.root / "several", len(p.hub.log)
    p.hub.pause = 0.01
    processes = [subprocess.Popen([SLLM, "pull", "-q", "hf:org/folder"], env=p.environment(cache), stdout=subprocess.PIPE)
                 for _ in range(4)]
    paths = {process.communicate()[0].decode().strip() for process in processes}
    p.hub.pause = 0.0
    check("four at once all succeed", [q.returncode for q in processes] == [0] * 4 and len(paths) == 1, paths)
    # By requests: a connection that an earlier, killed client left may still send a block.
    asked = [(r[2].split("?")[0], r[3].get("Range")) for r in p.hub.log[before:] if r[0] == "storage"]
    check("and each file came once", asked and len(asked) == len(set(asked)) and all(r is None for _, r in asked), asked)


def main():
    try:
        import huggingface_hub
    except ImportError:
        print("SKIP huggingface_hub is not installed")
        return
    print(f"huggingface_hub {huggingface_hub.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        p = Programs(make_hub(), pathlib.Path(folder))
        ours, theirs = compare_layouts(p)
        use_each_others(p, ours, theirs)
        compare_sizes(p, ours)
        exit_codes(p)
        kill_and_resume(p)
        several_at_once(p)
    sys.exit(1 if FAILED else 0)


if __name__ == "__main__":
    main()
