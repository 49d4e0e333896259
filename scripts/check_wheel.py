"""Installs a wheel in a fresh environment outside of the checkout, and runs it there: `check_wheel.py WHEEL...`.

The environment has the libraries of `scripts/libtorch` where pip would put those of `torch`, so nothing large is
installed. It also has a broken libtorch of an older Python, which the worker must ignore. CUDA is not tested.
"""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

SCRIPTS = pathlib.Path(__file__).resolve().parent
WORKFLOW = """
[tasks.sums]
task  = "sums"
count = 64
[pretrain.base]
data         = ["sums.samples"]
architecture = "llama"
hidden-size  = 32
layers       = 1
steps        = 3
"""


def main(wheel):
    check_contents(pathlib.Path(wheel))
    with tempfile.TemporaryDirectory(prefix="r1flow-wheel-") as folder:
        prefix = pathlib.Path(folder) / "environment"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(prefix / "bin" / "python")]
        subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", wheel], check=True)
        bin = prefix / "bin"
        check_lookup(bin)
        done = start(bin, folder, "doctor")
        told = done.stdout + done.stderr
        assert "libtorch is not there" in told, f"`r1flow doctor` without libtorch says:\n{told}"
        broken, whole = (prefix / "lib" / name / "site-packages/torch/lib" for name in ("python3.10", "python3.12"))
        broken.mkdir(parents=True, exist_ok=True)
        (broken / "libtorch_cpu.so").touch()
        whole.parent.mkdir(parents=True, exist_ok=True)
        whole.symlink_to(libraries())
        told = run(bin, folder, "doctor")
        assert str(bin / ".." / whole.relative_to(prefix)) in told, f"another libtorch is taken:\n{told}"
        pathlib.Path(folder, "w.toml").write_text(WORKFLOW)
        run(bin, folder, "apply", "w.toml")
        assert "base" in run(bin, folder, "status")
    print(f"{pathlib.Path(wheel).name}: installs, finds the environment's libtorch, trains")


def libraries():
    """Returns the folder of the libtorch libraries that this checkout is built with."""
    told = subprocess.run(["sh", SCRIPTS / "libtorch"], capture_output=True, text=True, check=True).stdout
    key, value = told.strip().split("=", 1)
    if key == "LIBTORCH":
        return pathlib.Path(value, "lib")
    return pathlib.Path(importlib.util.find_spec("torch").submodule_search_locations[0], "lib")


def check_contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        text = archive.read(metadata).decode()
    programs = sorted(name.rsplit("/", 1)[1] for name in names if ".data/scripts/" in name)
    assert programs == ["r1flow", "r1flow-worker"], f"its programs are {programs}"
    strangers = [name for name in names if ".data/scripts/" not in name and ".dist-info/" not in name]
    assert not strangers, f"beside its programs it has {strangers}"
    (version,) = re.findall(r"^version=(.*)$", (SCRIPTS / "libtorch").read_text(), re.MULTILINE)
    assert f"Requires-Dist: torch=={version}\n" in text, f"it does not ask for torch {version}"


def check_lookup(bin):
    """Checks that the newest Python comes first, and that no folder of the build machine is searched."""
    told = subprocess.run(["readelf", "-d", bin / "r1flow-worker"], capture_output=True, text=True, check=True).stdout
    (folders,) = re.findall(r"(?:RUNPATH|RPATH).*\[(.*)\]", told)
    pythons = re.fullmatch(r"(?::?\$ORIGIN/\.\./lib/python3\.\d+t?/site-packages/torch/lib)+", folders)
    assert pythons, f"it looks for libtorch in {folders}"
    minors = [int(minor) for minor in re.findall(r"python3\.(\d+)", folders)]
    assert minors == sorted(minors, reverse=True), f"it looks for libtorch in {folders}"


def start(bin, folder, *words):
    # Without the caller's LIBTORCH and library paths.
    environment = {"PATH": os.environ["PATH"], "HOME": folder}
    return subprocess.run([bin / "r1flow", *words], cwd=folder, env=environment, capture_output=True, text=True)


def run(bin, folder, *words):
    done = start(bin, folder, *words)
    assert done.returncode == 0, f"`r1flow {' '.join(words)}` fails:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


if __name__ == "__main__":
    for wheel in sys.argv[1:]:
        main(wheel)
