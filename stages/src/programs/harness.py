"""Runs one program against all cases of its tests, in the jail, and prints a line of JSON for each case.

Reads `job.json`: {"mode": "streams" | "calls" | "asserts" | "pytest" | "checks", "language": "python" | "cpp", "function": NAME or
null, "seconds": CPU seconds of a case, "wall": seconds on the clock of a case, "cases": COUNT, "output": bytes of a case}.
Inputs are in `in/0`, `in/1`, …; expected outputs come here only with "checks", where the program is no model's. Each case runs in a process of its own that is forked
from this one, so the interpreter starts and the program is compiled only once.

A line: {"case": I, "end": "ok" | "error" | "time" | "clock" | "memory" | "output" | "compile", "output": TEXT,
"error": TEXT}. After "time", "clock" and "memory" the cases that are left do not run.
"""

import json
import math
import os
import resource
import signal
import subprocess
import sys
import time

ERRORS = 2000  # Characters of an error that are told.
LOADER = "/lib64/ld-linux-x86-64.so.2"
GRACE = 0.25  # Seconds between looks at a program that is waited for.


def main():
    with open("job.json") as file:
        job = json.load(file)
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.set_inheritable(told.fileno(), False)
    run = compiled_cpp(job, told) if job["language"] == "cpp" else compiled_python(job, told)
    if run is None:
        return
    for case in range(job["cases"]):
        found = one_case(job, case, run)
        found["case"] = case
        told.write(json.dumps(found) + "\n")
        told.flush()
        if found["end"] in ("time", "clock", "memory"):
            return


def compiled_cpp(job, told):
    """Compiles `solution.cpp`, and returns what runs it in a child."""
    command = ["g++", "-O2", "-std=c++20", "-o", "solution", "solution.cpp"]
    built = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if built.returncode != 0:
        tell_compile(told, built.stderr.decode("utf-8", "replace")[:ERRORS])
        return None
    # Where the jail lets no file become executable, the loader runs it.
    command = ["./solution"] if os.access("./solution", os.X_OK) else [LOADER, "./solution"]
    return lambda case: os.execv(command[0], command)


def compiled_python(job, told):
    """Compiles `solution.py`, and returns what runs it in a child."""
    with open("solution.py", encoding="utf-8") as file:
        source = file.read()
    try:
        code = compile(source, "solution.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        tell_compile(told, "%s: %s" % (type(error).__name__, error))
        return None
    modes = {
        "streams": as_program,
        "calls": as_function,
        "asserts": with_asserts,
        "pytest": with_pytest,
        "checks": as_checker,
    }
    return modes[job["mode"]](job, code)


def tell_compile(told, error):
    told.write(json.dumps({"case": 0, "end": "compile", "output": "", "error": error}) + "\n")
    told.flush()


def as_program(job, code):
    def run(case):
        exec(code, main_module().__dict__)

    return run


def as_function(job, code):
    def run(case):
        module = main_module("solution")
        exec(code, module.__dict__)
        with open("in/%d" % case, encoding="utf-8") as file:
            arguments = json.load(file)
        result = function_of(module, job["function"])(*arguments)
        with open(9, "w", encoding="utf-8", closefd=False) as file:
            json.dump(result, file, default=plain)

    return run


def as_checker(job, code):
    def run(case):
        sys.argv = ["checker.py"] + ["%s/%d" % (folder, case) for folder in ("in", "expected", "written")]
        exec(code, main_module().__dict__)

    return run


def with_asserts(job, code):
    tests = compile(text_of("in/0"), "tests.py", "exec", dont_inherit=True)

    def run(case):
        module = main_module("solution")
        exec(code, module.__dict__)
        name = job["function"]
        if name and name not in module.__dict__:
            module.__dict__[name] = function_of(module, name)
        exec(tests, module.__dict__)
        finished()

    return run


def with_pytest(job, code):
    def run(case):
        with open("test_solution.py", "w", encoding="utf-8") as file:
            file.write(text_of("in/0"))
        sys.path.insert(0, os.getcwd())
        import pytest

        status = pytest.main(["-q", "-x", "-p", "no:cacheprovider", "test_solution.py"])
        if status != 0:
            sys.exit(1)
        finished()

    return run


def finished():
    """Says that the tests came to their end: an exit from within them does not count as success."""
    with open(9, "w", encoding="utf-8", closefd=False) as file:
        file.write('"finished"')


def main_module(name="__main__"):
    module = type(sys)(name)
    module.__dict__["__file__"] = "solution.py"
    sys.modules[name] = module
    if name != "__main__":
        sys.modules["__main__"] = module
    return module


def function_of(module, name):
    """Returns the function, or that method of an instance of the class `Solution`."""
    if callable(module.__dict__.get(name)):
        return module.__dict__[name]
    if "Solution" in module.__dict__:
        return getattr(module.__dict__["Solution"](), name)
    raise NameError("there is no function `%s`" % name)


def plain(value):
    """Returns a value of no JSON type as one: a set as a list in order, anything with elements as a list."""
    if isinstance(value, (set, frozenset)):
        try:
            return sorted(value)
        except TypeError:
            return list(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "__iter__"):
        return list(value)
    raise TypeError("it returns a %s, which is no JSON" % type(value).__name__)


def text_of(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def one_case(job, case, run):
    """Forks, runs a case in the child, and tells how it ended."""
    for name in ("out", "err", "result"):
        with open(name, "wb"):
            pass
    child = os.fork()
    if child == 0:
        os._exit(in_child(job, case, run))
    began, status, usage = time.monotonic(), None, None
    while status is None:
        found, state, used = os.wait4(child, os.WNOHANG)
        if found:
            status, usage = state, used
        elif time.monotonic() - began > job["wall"]:
            try:
                os.kill(child, signal.SIGKILL)
                os.wait4(child, 0)
            except OSError:
                pass  # The jail kills it when this process ends, which is next.
            kill_rest(child)
            return {"end": "clock", "output": "", "error": ""}
        else:
            wait_for(child, job["wall"] - (time.monotonic() - began))
    kill_rest(child)
    return told_end(job, status, usage)


def wait_for(child, seconds):
    """Waits until the child has ended, or for some time."""
    try:
        signal.sigtimedwait([signal.SIGCHLD], max(0.0, min(GRACE, seconds)))
    except InterruptedError:
        pass


def kill_rest(child):
    """Kills what a child left, where it has a group of its own; else the jail does so at the end."""
    try:
        os.killpg(child, signal.SIGKILL)
    except OSError:
        pass


def told_end(job, status, usage):
    seconds = usage.ru_utime + usage.ru_stime
    error = tail("err")
    killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    late = killed == signal.SIGKILL and seconds >= job["seconds"]
    if killed == signal.SIGXCPU or late or seconds > job["seconds"]:
        end = "time"
    elif killed == signal.SIGXFSZ or os.path.getsize("out") > job["output"]:
        end = "output"
    elif error.rstrip().rsplit("\n", 1)[-1].startswith("MemoryError") or "std::bad_alloc" in error or killed == signal.SIGKILL:
        end = "memory"
    elif killed is not None:
        end, error = "error", "%s\n%s" % (signal.Signals(killed).name, error)
    elif os.WEXITSTATUS(status) != 0:
        end = "error"
    else:
        end = "ok"
    if end == "ok" and job["mode"] not in ("streams", "checks"):
        result = tail("result", job["output"])
        if not result:
            return {"end": "error", "output": "", "error": "it ended before the tests did"}
        return {"end": "ok", "output": result, "error": ""}
    output = tail("out", job["output"]) if end == "ok" else ""
    return {"end": end, "output": output, "error": error if end == "error" else ""}


def tail(path, most=ERRORS):
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - most))
        return file.read(most).decode("utf-8", "replace")


def in_child(job, case, run):
    try:
        os.setpgid(0, 0)
    except OSError:
        pass  # The jail may hold all of a job in one group.
    source = "in/%d" % case if job["mode"] == "streams" else os.devnull
    for number, path, flags in ((0, source, os.O_RDONLY), (1, "out", os.O_WRONLY), (2, "err", os.O_WRONLY)):
        opened = os.open(path, flags)
        os.dup2(opened, number)
        os.close(opened)
    opened = os.open("result", os.O_WRONLY)
    os.dup2(opened, 9)
    os.closerange(10, 256)
    os.closerange(3, 9)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
    seconds = math.ceil(job["seconds"])
    limit(resource.RLIMIT_CPU, seconds, seconds + 1)
    limit(resource.RLIMIT_FSIZE, job["output"] + 1, job["output"] + 1)
    if job["language"] == "cpp":
        return run(case)
    sys.stdin = open(0, "r", encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.argv = ["solution.py"]
    status = ended(run, case)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        status = status or 1
    return status


def ended(run, case):
    """Runs the program to its end, threads and functions for its exit included, and returns its exit status."""
    import atexit
    import threading
    import traceback

    status = 0
    try:
        run(case)
    except SystemExit as exit:
        status = exit.code if isinstance(exit.code, int) else int(exit.code is not None)
    except BaseException as error:
        frames = error.__traceback__
        while frames and frames.tb_frame.f_code.co_filename == __file__:
            frames = frames.tb_next
        traceback.print_exception(type(error), error, frames)
        status = 1
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
    except BaseException:
        status = status or 1
    return status & 255


def limit(kind, soft, hard):
    _, most = resource.getrlimit(kind)
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(kind, (soft, hard))


signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
main()
