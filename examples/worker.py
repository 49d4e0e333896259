#!/usr/bin/env python3
"""A worker in Python, standard library only: the kind `keep-short`, which keeps samples with short completions.

docs/own-worker.md explains it. Everything below the line "The protocol" can stay as it is in a worker of your own.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time

# The path of `r1flow-worker`: then this worker also has its kinds, and hands their stages to it.
BASE = None

# ── The kind ─────────────────────────────────────────────────────────────────────────────────────────────────────

KIND = {
    "kind": "keep-short",
    "version": 1,  # Raise it when the same keys give another output: finished stages then run again.
    "history": ["the first"],
    "doc": "Keeps samples whose completions have few words.",
    "inputs": {
        "properties": {
            "data": {
                "description": "Samples to choose from; all sets are concatenated.",
                "type": "array",
                "items": {"type": "string", "x-artifact": "samples"},
            }
        },
        "required": ["data"],
    },
    "params": {
        "properties": {
            "words": {"description": "Most words of a completion.", "type": "integer", "minimum": 0, "default": 40},
            "without": {
                "description": "Words that a completion must not have.",
                "type": "array",
                "items": {"type": "string"},
                "default": [],
            },
            "pause-ms": {
                "description": "Milliseconds to wait after each row, for a try of Ctrl-C.",
                "type": "integer",
                "minimum": 0,
                "default": 0,
                "x-role": "neutral",
            },
        }
    },
    "outputs": {"samples": "samples"},
}


def check(config):
    """Returns what a person should know before the stage runs; an `error` means that it cannot."""
    findings = []
    if any(" " in word for word in config["without"]):
        message = "`without` has a text of several words"
        findings.append({"severity": "error", "message": message, "help": "list the words one by one"})
    return findings


def run(attempt):
    """Runs a stage: returns its outputs and a summary, or None if it was asked to stop."""
    config = attempt.config
    rows = [row for data in config["data"] for row in read_samples(data["path"])]
    done, kept = 0, []
    if attempt.resume:
        done = attempt.resume["step"]
        kept = read_lines(os.path.join(attempt.resume["dir"], "kept.jsonl"))
    while done < len(rows):
        words = rows[done]["completion"].split()
        if len(words) <= config["words"] and not set(words) & set(config["without"]):
            kept.append(rows[done])
        done += 1
        time.sleep(config["pause-ms"] / 1000)
        attempt.progress(done, len(rows), "row", {"kept": len(kept) / done})
        if done < len(rows) and attempt.checkpoint_is_due(done):
            attempt.checkpoint(done, lambda folder: write_lines(os.path.join(folder, "kept.jsonl"), kept))
            if attempt.stop.is_set():
                return None
    folder = attempt.output("samples")
    write_lines(os.path.join(folder, "samples.jsonl"), kept)
    return {"samples": folder}, {"rows": len(rows), "kept": len(kept)}


def read_samples(path):
    """Reads samples: a stage's output is a folder, an entry of `[inputs]` is the file that the user named."""
    rows = read_lines(os.path.join(path, "samples.jsonl") if os.path.isdir(path) else path)
    for number, row in enumerate(rows):
        if not isinstance(row.get("completion"), str):
            raise Failed(f"row {number} of `{path}` has no text `completion`", "give JSON lines with prompt and completion")
    return rows


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def write_lines(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


# ── The protocol ─────────────────────────────────────────────────────────────────────────────────────────────────

PROTOCOL = 4


class Failed(Exception):
    """The stage cannot be completed: a message, and what to do about it."""


class Attempt:
    """One attempt at a stage: what the engine asks for, and what is said to it."""

    def __init__(self, request, out):
        self.config = request["config"]
        self.resume = request.get("resume")
        self.stop = threading.Event()
        self._dir = request["dir"]
        self._machine = request["machine"]
        self._out, self._lock = out, threading.Lock()
        self._last = (time.monotonic(), self.resume["step"] if self.resume else 0)

    def send(self, message):
        with self._lock:
            self._out.write(json.dumps(message) + "\n")
            self._out.flush()

    def progress(self, step, total, unit, metrics):
        self.send({"progress": {"step": step, "total": total, "unit": unit, "metrics": metrics}})

    def output(self, name):
        """Makes the folder of an output."""
        folder = os.path.join(self._dir, "output-" + name)
        os.mkdir(folder)
        return folder

    def checkpoint_is_due(self, step):
        (then, last), machine = self._last, self._machine
        return (
            self.stop.is_set()
            or time.monotonic() - then >= machine["checkpoint-seconds"]
            or (machine["checkpoint-steps"] is not None and step - last >= machine["checkpoint-steps"])
            or step in machine["checkpoint-at"]
        )

    def checkpoint(self, step, write):
        """Writes a checkpoint through `write`; the engine takes the folder over."""
        folder = os.path.join(self._dir, "checkpoints", str(step))
        os.makedirs(folder)
        write(folder)
        self.send({"checkpoint": {"step": step, "dir": folder}})
        self._last = (time.monotonic(), step)

    def listen(self):
        """Waits for `"stop"`. When stdin ends the engine is gone, and so must this process be."""
        for line in sys.stdin:
            if line.strip() == '"stop"':
                self.stop.set()
        os._exit(1)

    def beat(self):
        """Tells the engine now and then that this process lives."""
        while True:
            time.sleep(self._machine["silence-seconds"] / 6)
            self.send("alive")


def run_one():
    # Signals for the end are the engine's affair: it sends `"stop"`.
    for name in ("SIGHUP", "SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    first = sys.stdin.readline()
    request = json.loads(first)["run"]
    if request["kind"] != KIND["kind"]:
        hand_over(first)
    # The protocol gets a stdout of its own: what a library prints goes to stderr, which is the log.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    attempt = Attempt(request, out)
    attempt.send({"hello": {"protocol": PROTOCOL, "pid": os.getpid()}})
    for loop in (attempt.listen, attempt.beat):
        threading.Thread(target=loop, daemon=True).start()
    try:
        ended = run(attempt)
    except Failed as failed:
        attempt.send({"failed": {"message": failed.args[0], "help": failed.args[1]}})
    except (OSError, ValueError) as error:
        attempt.send({"failed": {"message": str(error), "help": None}})
    else:
        if ended is None:
            attempt.send({"stopped": {"step": attempt._last[1]}})
        else:
            attempt.send({"done": {"outputs": ended[0], "summary": ended[1]}})
    # Not `sys.exit`: the thread that reads stdin still waits there.
    os._exit(0)


def hand_over(first):
    """Lets the base worker run a stage: it gets the request and every later line, and answers in our place."""
    worker = subprocess.Popen([BASE, "run"], stdin=subprocess.PIPE)

    def forward():
        for line in sys.stdin:
            worker.stdin.write(line.encode())
            worker.stdin.flush()
        worker.stdin.close()

    worker.stdin.write(first.encode())
    worker.stdin.flush()
    threading.Thread(target=forward, daemon=True).start()
    os._exit(worker.wait())


def ask_base(command, text=""):
    return subprocess.run([BASE, command], input=text, capture_output=True, text=True, check=True).stdout


def list_kinds():
    base = json.loads(ask_base("kinds")) if BASE else {"kinds": [], "imports": {}}
    return {"protocol": PROTOCOL, "kinds": base["kinds"] + [KIND], "imports": base["imports"]}


def check_all():
    """Reads a request per line, and returns a list with what is found about each."""
    requests = [(line, json.loads(line)) for line in sys.stdin]
    others = [line for line, request in requests if request["kind"] != KIND["kind"]]
    of_base = iter(json.loads(ask_base("check", "".join(others))) if others else [])
    own = lambda request: {"findings": check(request["config"])}
    return [own(request) if request["kind"] == KIND["kind"] else next(of_base) for _, request in requests]


def main():
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command == "kinds":
        print(json.dumps(list_kinds()))
    elif command == "check":
        print(json.dumps(check_all()))
    elif command == "tokens" and BASE:
        print(ask_base("tokens", sys.stdin.read()), end="")
    elif command == "run":
        run_one()
    else:
        sys.exit("usage: worker.py kinds | check | tokens | run    (for the engine)")


main()
