"""A hub on the loopback interface with one data set and one model. It answers what `fetch` requests from Hugging Face,
without faults.

`tests/cli/fake_hub.rs` is a fuller one, which can also give wrong answers.
"""
import hashlib, json, multiprocessing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "1" * 40
REPOS = {
    "datasets/org/rows": {"samples.jsonl": b"one\ntwo\nthree\n", "README.md": b"# Rows\n"},
    "models/org/base": {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": bytes(range(256)) * 400},
}


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.split("?")[0].lstrip("/")
        if path.startswith("api/") and "/revision/" in path:
            repo = REPOS.get(path[len("api/"):].split("/revision/")[0])
            listing = {"sha": COMMIT, "siblings": [about(*file) for file in repo.items()]}
            return self.say(200, json.dumps(listing).encode())
        name, _, rest = path.partition("/resolve/")
        file = rest.partition("/")[2]
        bytes = REPOS.get(name if name.startswith("datasets/") else f"models/{name}", {}).get(file)
        if bytes is None:
            return self.say(404, b"{}")
        first = int(self.headers.get("Range", "bytes=0-")[len("bytes="):].split("-")[0])
        tag = {"ETag": f'"{git(bytes)}"', "X-Repo-Commit": COMMIT}
        if first:
            tag["Content-Range"] = f"bytes {first}-{len(bytes) - 1}/{len(bytes)}"
        return self.say(206 if first else 200, bytes[first:], tag)

    def say(self, status, body, headers={}):
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def git(bytes):
    return hashlib.sha1(b"blob %d\0" % len(bytes) + bytes).hexdigest()


def about(path, bytes):
    file = {"rfilename": path, "size": len(bytes), "blobId": git(bytes)}
    if path.endswith(".safetensors"):
        file["lfs"] = {"sha256": hashlib.sha256(bytes).hexdigest(), "size": len(bytes)}
    return file


def start():
    """Starts a hub that ends with this process, and returns its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    multiprocessing.Process(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"
