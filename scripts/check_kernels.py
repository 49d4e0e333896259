"""Compiles the GPU's kernels by NVRTC, which needs no card: `python3 scripts/check_kernels.py LIBNVRTC [ARCHITECTURE...]`.

LIBNVRTC is a `libnvrtc.so.13` with its `libnvrtc-builtins` where the loader finds it (LD_LIBRARY_PATH); architectures are
numbers, 80 90 100 unless given. What does not compile is printed; the exit status tells.
"""

import ctypes
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "stages/lm"


def source():
    """Returns the kernels as `kernels.rs` puts them together."""
    names = re.search(r"FILES: .* = &\[(.*?)\]", (ROOT / "kernels.rs").read_text()).group(1)
    files = [ROOT / "shim/cuda/kernels" / f"{name}.cu" for name in re.findall(r'"(\w+)"', names)]
    return "\n".join(file.read_text() for file in files)


def compile_for(nvrtc, text, options):
    """Returns NVRTC's log where it refuses, or nothing."""
    program = ctypes.c_void_p()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None)
    given = (ctypes.c_char_p * len(options))(*[option.encode() for option in options])
    if nvrtc.nvrtcCompileProgram(program, len(options), given) == 0:
        return None
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    return log.value.decode() or "no log"


def main(library, *architectures):
    nvrtc = ctypes.CDLL(library)
    refused = 0
    for architecture in architectures or ("80", "90", "100"):
        for heads in (None, 1, 2, 4, 8):
            options = [f"--gpu-architecture=sm_{architecture}", "--std=c++17"]
            options += [f"--define-macro=HEADS={heads}"] if heads else []
            if log := compile_for(nvrtc, source(), options):
                refused += 1
                print(f"{' '.join(options)}:\n{log}")
    print(f"{refused} refused" if refused else "all compile")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
