"""Compiles the GPU kernels with NVRTC, without a GPU: `python3 scripts/check_kernels.py LIBNVRTC [ARCHITECTURE...]`.

LIBNVRTC is a `libnvrtc.so.13` whose `libnvrtc-builtins` the loader finds (LD_LIBRARY_PATH). Architectures are numbers;
80 90 100 unless given. Prints NVRTC's log for kernels that do not compile, and exits with 1 if there are any.
"""

import ctypes
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "stages/lm"


def source():
    """Returns the source of the kernels, as `kernels.rs` puts it together."""
    names = re.search(r"FILES: .* = &\[(.*?)\]", (ROOT / "kernels.rs").read_text()).group(1)
    files = [ROOT / "shim/cuda/kernels" / f"{name}.cu" for name in re.findall(r'"(\w+)"', names)]
    return "\n".join(file.read_text() for file in files)


def compile_for(nvrtc, text, options):
    """Returns NVRTC's log if it refuses the source, else None."""
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
