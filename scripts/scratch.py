"""Shared by `faults`, `flips`, `power-cuts` and `soak`: a scratch folder with copies of the programs, a small workflow
with every sort of stage, and what must be true of its store. Injects no fault.

The one idea: what is right comes from the files and from an unbroken run, never from the program under trial alone. The
objects of a store and the references to them are read from the files here, by the layout in `store/src/lib.rs`.
"""
import atexit, ctypes, functools, json, os, re, shutil, signal, subprocess, sys, tempfile
# Loaded now: once root is given up, Python's own folder may not be readable.
import encodings.idna, multiprocessing.connection, multiprocessing.pool, multiprocessing.popen_fork
import multiprocessing.queues, multiprocessing.synchronize
import http.server, traceback
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
USER = 61234  # owns nothing on any machine, so its processes can harm only the scratch folder
WORKFLOW = """[inputs]
rows = {{ samples = "{rows}" }}
[write.a]
text = "{text}"
[join.b]
data = ["a.samples", "inputs.rows"]
[count.c]
data = ["b.samples"]
steps = {steps}
wait = {wait}
[draw.d]
data = ["inputs.rows"]
"""
OUTPUTS = ["a.samples", "b.samples", "c.model", "d.samples"]
DIGEST = re.compile(r"b3:([0-9a-f]{64})")
NEEDED = re.compile(r'"(?:digest|metrics|log)": ?"b3:([0-9a-f]{64})"')


def workflow(text="hello", steps=4, wait=0, rows="data/rows.jsonl"):
    return WORKFLOW.format(text=text, steps=steps, wait=wait, rows=rows)


def ground(stays_root=False):
    """Makes the scratch folder with copies of both programs, gives up root, and returns the folder."""
    built = REPO / "target/release"
    given = os.environ.get("R1FLOW", built / "r1flow"), os.environ.get("TOY", built / "examples/toy_worker")
    sources = dict(zip(("r1flow", "toy"), given))
    top = Path(tempfile.mkdtemp(prefix="r1flow-trial-"))
    for name, source in sources.items():
        if not Path(source).is_file():
            sys.exit(f"error: there is no `{source}`: run `make build`, or name the programs with R1FLOW and TOY")
        shutil.copy(source, top / name)
    maker = os.getpid()
    atexit.register(lambda: os.getpid() == maker and shutil.rmtree(top, ignore_errors=True))
    if os.geteuid() == 0 and not stays_root:
        top.chmod(0o755)
        os.chown(top, USER, USER)
        os.setgroups([])
        os.setgid(USER)
        os.setuid(USER)
        ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: its own user may trace it again
    return top


@dataclass
class Ended:
    code: object  # an exit status, less than 0 for a signal, or "stuck"
    out: str
    err: str

    def said(self):
        return (self.err.strip() or self.out.strip() or "nothing").replace("\n", " ")[:200]


class Sandbox:
    """A folder with a user's files, a store and a cache."""

    worker = None  # replaces the toy worker
    user = None  # the user for the program, if not the one who runs the trial

    def __init__(self, top, name, hub=None):
        self.top, self.dir, self.hub = top, top / name, hub
        self.store = self.dir / ".r1flow"

    def make(self, text=None):
        (self.dir / "data").mkdir(parents=True)
        (self.dir / "data/rows.jsonl").write_text("one\ntwo\nthree\n")
        (self.dir / "notes.txt").write_text("the user's\n")
        self.write(text or workflow())
        return self

    def copy(self, name):
        shutil.copytree(self.dir, self.top / name, symlinks=True)
        return Sandbox(self.top, name, self.hub)

    def write(self, text):
        (self.dir / "w.toml").write_text(text)

    def remove(self):
        shutil.rmtree(self.dir)

    def env(self):
        env = {"PATH": os.environ["PATH"], "HOME": str(self.dir), "XDG_CACHE_HOME": str(self.dir / "cache"),
               "R1FLOW_WORKER": str(self.worker or self.top / "toy"), "NO_COLOR": "1"}
        return env | ({"HF_ENDPOINT": self.hub, "HF_HOME": str(self.dir / "hf")} if self.hub else {})

    def argv(self, *arguments):
        return [str(self.top / "r1flow"), *arguments]

    def start(self, *arguments):
        return subprocess.Popen(
            self.argv(*arguments), cwd=self.dir, env=self.env(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True, user=self.user,
            group=self.user, extra_groups=[] if self.user else None)

    def run(self, *arguments, timeout=60):
        child = self.start(*arguments)
        try:
            out, err = child.communicate(timeout=timeout)
            return Ended(child.returncode, out, err)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            return Ended("stuck", "", "")

    def of(self, command, file="w.toml"):
        """Returns the option that names a stage's workflow, if the program has it."""
        return ["--workflow", file] if knows(self.top, command, "--workflow") else []

    def verify(self, file="w.toml"):
        """Returns the command that checks the whole store or, if the program has none, one workflow."""
        return ["verify", "--all"] if knows(self.top, "verify", "--all") else ["verify", file]

    def outputs(self, names=OUTPUTS, file="w.toml"):
        """Returns the exported files of every output, or the message if an export failed."""
        found = {}
        for name in names:
            folder = self.dir / "exported" / name
            ended = self.run("export", name, str(folder), *self.of("export", file))
            found[name] = files(folder) if ended.code == 0 else ended.said()
        shutil.rmtree(self.dir / "exported", ignore_errors=True)
        return found

    def outside(self):
        """Returns the user's files: all but the store, the caches and what a command was told to make."""
        ours = (".r1flow", "cache", "hf", "out", "said")
        return {path: bytes for path, bytes in files(self.dir).items() if path.split("/")[0] not in ours}

    def events(self):
        """Returns the events of all runs, oldest run first; lines that are no JSON are left out."""
        found = []
        for file in sorted(self.store.glob("runs/*/events.jsonl")):
            for line in file.read_text(errors="replace").splitlines():
                try:
                    found.append(json.loads(line))
                except ValueError:
                    pass
        return found

    def started(self):
        """Returns what each run started, oldest run first: (stage, step from which it resumed)."""
        runs = []
        for event in self.events():
            if event["event"] == "run-started":
                runs.append([])
            elif event["event"] == "started" and runs:
                runs[-1].append((event["stage"], event["resumed_from"]))
        return runs

    def missing_and_orphans(self):
        """Returns the digests of objects that are needed but missing, and of objects without a reference."""
        objects = {file.parent.name + file.name: file for file in self.store.glob("objects/*/*")}
        # After a tab comes the action; the store need not have its inputs.
        texts = [line.split("\t")[0] for line in read(self.store / "records.jsonl").splitlines()]
        texts += [read(file) for room in ("checkpoints", "rows") for file in self.store.glob(f"{room}/*/*/*.json")]
        named, needed = set(), set()
        for text in texts:
            named |= set(DIGEST.findall(text))
            needed |= set(NEEDED.findall(text))
        for digest in named & set(objects):
            if objects[digest].stat().st_size < 1 << 20:  # it may be the manifest of a folder
                named = named | set(DIGEST.findall(read(objects[digest])))
                needed |= set(NEEDED.findall(read(objects[digest]))) if digest in needed else set()
        return sorted(needed - set(objects)), sorted(set(objects) - named)

    def leftovers(self):
        """Returns the files in folders that must be empty when no command is running."""
        return sorted(str(path.relative_to(self.store)) for room in ("tmp", "attempts", "quarantine")
                      for path in self.store.glob(f"{room}/*"))

    def processes(self):
        """Returns the processes whose working directory is in this sandbox."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if Path(os.readlink(process / "cwd")).is_relative_to(self.dir) and int(process.name) != os.getpid():
                    found.append(f"{process.name} {read(process / 'cmdline')[:80]!r}")
            except OSError:
                pass
        return found


@functools.cache
def knows(top, command, option):
    return option in subprocess.run([top / "r1flow", command, "--help"], capture_output=True, text=True).stdout


def plain(words, box):
    """Returns a message without what differs from trial to trial, so that equal faults are reported once."""
    words = words.replace(f"{box.dir}/", "").replace(str(box.dir), ".")
    words = re.sub(r"\d{8}T\d{6}\.\d{3}Z-[0-9a-f]+", "RUN", words)
    words = re.sub(r"[0-9a-f]{2}/[0-9a-f]{62}", "DIGEST", re.sub(r"b3:[0-9a-f]{64}|[0-9a-f]{64}", "DIGEST", words))
    return re.sub(r"[0-9a-f]{12,16}-[0-9a-f]+-[0-9a-f]+", "UNIQUE", words)


def read(path):
    try:
        return Path(path).read_text(errors="replace")
    except FileNotFoundError:
        return ""


def files(folder):
    """Returns the bytes of each file below a folder, and the target of each link."""
    paths = (Path(at, name) for at, _, names in os.walk(folder) for name in names)
    bytes = lambda path: os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
    return {str(path.relative_to(folder)): bytes(path) for path in paths}
