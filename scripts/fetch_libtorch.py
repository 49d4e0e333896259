"""Builds a folder with the CPU part of libtorch from PyPI's wheels: `fetch_libtorch.py VERSION TARGET`.

Only what a build needs is kept: the headers and the CPU libraries. A wheel's own RECORD tells the SHA-256 of each file, and
pip has checked the wheel against the index. Two starts at once take turns; one that was interrupted leaves only a temporary
folder, which the next start removes.
"""

import base64
import fcntl
import hashlib
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile

# The CPU library of the CUDA wheel (Linux on x86-64) is linked against these two.
NVIDIA = {"nvidia-cuda-runtime==13.0.96": "libcudart.so.13", "nvidia-cuda-cupti==13.0.85": "libcupti.so.13"}
LIBRARIES = {"libtorch_cpu", "libtorch", "libc10", "libgomp", "libomp", "libshm"}


def main(version, target):
    target = pathlib.Path(target)
    with open(target.parent / "libtorch.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (target / "build-version").exists():
            return
        for leftover in target.parent.glob("libtorch-partial-*"):
            shutil.rmtree(leftover)
        partial = pathlib.Path(tempfile.mkdtemp(prefix="libtorch-partial-", dir=target.parent))
        build(version, partial / "wheels", partial / "root")
        if target.exists():
            shutil.rmtree(target)
        os.rename(partial / "root", target)
        shutil.rmtree(partial)


def build(version, wheels, root):
    is_linux_x86 = sys.platform == "linux" and platform.machine() == "x86_64"
    extra = NVIDIA if is_linux_x86 else {}
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(wheels)]
    subprocess.run([*pip, f"torch=={version}", *extra], check=True)
    (torch,) = wheels.glob("torch-*.whl")
    extract(torch, root, lambda name: torch_member(name, is_linux_x86))
    for requirement, library in extra.items():
        (wheel,) = wheels.glob(requirement.split("==")[0].replace("-", "_") + "-*.whl")
        extract(wheel, root, lambda name, library=library: f"lib/{library}" if name.endswith("/" + library) else None)
    link = root / "lib" / "libtorch.so"
    if is_linux_x86:
        link.symlink_to("libtorch_cpu.so")
    # Written last: a folder without it is not whole.
    (root / "build-version").write_text(version + "\n")


def torch_member(name, is_linux_x86):
    """Returns where a file of the torch wheel belongs, or nothing."""
    if name.startswith("torch/include/"):
        return name.removeprefix("torch/")
    if name.startswith("torch/lib/"):
        library = name.removeprefix("torch/lib/")
        stem = library.split(".")[0]
        # The CUDA wheel's libtorch.so pulls in all of CUDA; a link to the CPU part takes its place.
        if stem in LIBRARIES and "/" not in library and not (is_linux_x86 and stem == "libtorch"):
            return "lib/" + library
    return None


def extract(wheel, root, place_of):
    with zipfile.ZipFile(wheel) as archive:
        hashes = dict(record(archive))
        for info in archive.infolist():
            place = place_of(info.filename)
            if place is None or info.is_dir():
                continue
            path = root / place
            path.parent.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256()
            with archive.open(info) as source, open(path, "wb") as out:
                while block := source.read(1 << 20):
                    digest.update(block)
                    out.write(block)
            found = base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode()
            if hashes.get(info.filename) != found:
                sys.exit(f"error: {info.filename} of {wheel.name} does not match its RECORD")


def record(archive):
    """Yields (file, SHA-256) from a wheel's RECORD."""
    (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/RECORD")]
    for line in archive.read(name).decode().splitlines():
        file, digest, _ = line.rsplit(",", 2)
        yield file.strip('"'), digest.removeprefix("sha256=")


if __name__ == "__main__":
    main(*sys.argv[1:])
