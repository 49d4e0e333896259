"""Builds a folder with a part of libtorch from PyPI's wheels: `fetch_libtorch.py VERSION TARGET cpu|cuda`.

`cpu` keeps what a build needs: the headers and the CPU libraries. `cuda` keeps what a GPU needs besides: the libraries
of CUDA, and those of libtorch for it, laid out as in a Python environment, because they find each other by that layout.
Each file has its SHA-256 in the wheel's RECORD, and pip has checked the wheel against the index. Two starts at once
take turns. An interrupted start leaves only a temporary folder, which the next start removes.
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
PYTHON_ONLY = {"libtorch_python", "libtorch_global_deps"}


def main(version, target, part):
    target = pathlib.Path(target)
    with open(target.parent / "libtorch.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (target / "build-version").exists():
            return
        if target.exists():
            # This script gives only a complete folder this name, so another program made this one.
            sys.exit(f"error: `{target}` is there and is not whole\nhelp: move it out of the way")
        for leftover in target.parent.glob("libtorch-partial-*"):
            shutil.rmtree(leftover)
        partial = pathlib.Path(tempfile.mkdtemp(prefix="libtorch-partial-", dir=target.parent))
        build = {"cpu": build_cpu, "cuda": build_cuda}[part]
        build(version, partial / "wheels", partial / "root")
        # Written last: a folder without it is incomplete.
        (partial / "root" / "build-version").write_text(version + "\n")
        os.rename(partial / "root", target)
        shutil.rmtree(partial)


def download(wheels, requirements, *options):
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--dest", str(wheels)]
    subprocess.run([*pip, *options, *requirements], check=True)


def build_cpu(version, wheels, root):
    is_linux_x86 = sys.platform == "linux" and platform.machine() == "x86_64"
    extra = NVIDIA if is_linux_x86 else {}
    download(wheels, [f"torch=={version}", *extra], "--no-deps")
    (torch,) = wheels.glob("torch-*.whl")
    extract(torch, root, lambda name: torch_member(name, is_linux_x86))
    for requirement, library in extra.items():
        (wheel,) = wheels.glob(requirement.split("==")[0].replace("-", "_") + "-*.whl")
        extract(wheel, root, lambda name, library=library: f"lib/{library}" if name.endswith("/" + library) else None)
    if is_linux_x86:
        (root / "lib" / "libtorch.so").symlink_to("libtorch_cpu.so")


def build_cuda(version, wheels, root):
    download(wheels, [f"torch=={version}"], "--no-deps")
    (torch,) = wheels.glob("torch-*.whl")
    with zipfile.ZipFile(torch) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        lines = archive.read(metadata).decode().splitlines()
    wanted = [line.split(": ", 1)[1].split(";")[0] for line in lines if line.startswith("Requires-Dist: ")]
    download(wheels, [name for name in wanted if name.startswith(("nvidia-", "cuda-toolkit"))])
    extract(torch, root, gpu_member)
    for wheel in wheels.glob("nvidia_*.whl"):
        extract(wheel, root, lambda name: name if name.startswith("nvidia/") and ".so" in name else None)


def gpu_member(name):
    """Returns the path for a library of the torch wheel that the CPU folder lacks; None for any other file."""
    stem = name.removeprefix("torch/lib/").split(".")[0]
    is_library = name.startswith("torch/lib/lib") and ".so" in name and "/" not in name.removeprefix("torch/lib/")
    return name if is_library and stem not in LIBRARIES | PYTHON_ONLY else None


def torch_member(name, is_linux_x86):
    """Returns the path for a file of the torch wheel; None if it is not needed."""
    if name.startswith("torch/include/"):
        return name.removeprefix("torch/")
    if name.startswith("torch/lib/"):
        library = name.removeprefix("torch/lib/")
        stem = library.split(".")[0]
        # The CUDA wheel's libtorch.so depends on all of CUDA; a link to the CPU library replaces it.
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
