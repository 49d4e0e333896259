"""Injects one fault: the nth call of a sort, counted over all threads and processes of a command, fails or kills its
process. Does not judge what follows. Linux on x86-64.

The one idea: `strace -e inject=…:when=N` counts the calls of each thread separately, so one run would have many faults,
and the nth call of a quiet thread would never be reached. Here a seccomp filter stops a command at the calls of one
sort only, and this program counts them over all threads.
"""
import ctypes, errno, os, platform, signal, struct, time
from dataclasses import dataclass

# By number of a system call: the register that holds its path or descriptor, and whether it is a path.
RDI, RSI, RDX, R10, RAX, CALL = 14, 13, 12, 7, 10, 15
CALLS = {
    "write": {1: (RDI, 0), 18: (RDI, 0), 20: (RDI, 0), 296: (RDI, 0), 40: (RDI, 0), 326: (RDX, 0)},
    "fsync": {74: (RDI, 0), 75: (RDI, 0)},
    "rename": {82: (RDI, 1), 264: (RSI, 1), 316: (RSI, 1)},
    "unlink": {87: (RDI, 1), 263: (RSI, 1), 84: (RDI, 1)},
    "create": {2: (RDI, 1), 85: (RDI, 1), 257: (RSI, 1), 437: (RSI, 1)},
    "mkdir": {83: (RDI, 1), 258: (RSI, 1)},
    "link": {86: (RDI, 1), 265: (RSI, 1), 88: (RDI, 1), 266: (RDI, 1)},
    "truncate": {76: (RDI, 1), 77: (RDI, 0), 285: (RDI, 0)},
}
ERRORS = {"fsync": errno.EIO, "unlink": errno.EIO}  # the others fail with ENOSPC
PTRACE_CONT, PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_SEIZE, PTRACE_LISTEN = 7, 12, 13, 0x4206, 0x4208
FOLLOW = 0x02 | 0x04 | 0x08 | 0x80 | 0x100000  # fork, vfork, clone, seccomp; all die with the tracer
EVENT_SECCOMP, EVENT_STOP, WALL = 7, 128, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long
libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4


@dataclass
class Outcome:
    code: object  # an exit status, less than 0 for a signal, or "stuck"
    hit: str  # the call with the fault; empty if there were fewer calls
    left: int  # processes that outlived the command by ten seconds


def is_possible():
    return platform.machine() == "x86_64" and platform.system() == "Linux"


def run(argv, env, cwd, said, sort, nth, action, timeout):
    """Runs a command to its end with a fault at its `nth` call of a sort. Its output goes to the file `said`."""
    child, gate = start(argv, env, cwd, said, CALLS[sort])
    outcome, counted, alive = Outcome(None, "", 0), 0, {child}
    if libc.ptrace(PTRACE_SEIZE, child, None, FOLLOW) != 0:
        os.kill(child, signal.SIGKILL)
        raise OSError(ctypes.get_errno(), "a process cannot be traced here")
    os.close(gate)
    deadline = time.monotonic() + timeout
    while True:
        try:
            pid, status = wait(deadline)
        except ChildProcessError:  # none is left, not even one that was being forked when its parent died
            break
        if pid == 0:
            outcome.left, outcome.code = (len(alive), outcome.code) if outcome.code is not None else (0, "stuck")
            end(alive)
            break
        alive.add(pid)
        if not os.WIFSTOPPED(status):
            alive.discard(pid)
            if pid == child:
                outcome.code = os.waitstatus_to_exitcode(status)
                deadline = time.monotonic() + 10
            continue
        event, number = status >> 16, os.WSTOPSIG(status)
        if event == EVENT_SECCOMP and not outcome.hit and is_of(sort, pid):
            counted += 1
            if counted == nth:
                outcome.hit = describe(sort, pid)
                kill(pid) if action == "kill" else fail(pid, ERRORS.get(sort, errno.ENOSPC))
        stopped = event == EVENT_STOP and number != signal.SIGTRAP
        libc.ptrace(PTRACE_LISTEN if stopped else PTRACE_CONT, pid, None, number if event == 0 else None)
    return outcome


def start(argv, env, cwd, said, numbers):
    """Starts a child that runs the command once the gate is closed; returns its id and the gate."""
    waits, gate = os.pipe()
    child = os.fork()
    if child:
        os.close(waits)
        return child, gate
    os.close(gate)
    os.chdir(cwd)
    os.setsid()
    out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    nothing = os.open("/dev/null", os.O_RDONLY)
    for source, target in ((nothing, 0), (out, 1), (out, 2)):
        os.dup2(source, target)
    program = [(0x20, 0, 0, 0)]  # the number of the call
    program += [(0x15, len(numbers) - at, 0, number) for at, number in enumerate(sorted(numbers))]
    program += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x7FF00000)]  # allow, trace
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in program))
    filter = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code)))
    os.read(waits, 1)
    libc.prctl(38, 1, 0, 0, 0)  # no new privileges, as a filter requires
    libc.prctl(22, 2, ctypes.addressof(filter), 0, 0)
    os.execve(argv[0], argv, env)


def wait(deadline):
    """Returns the next process that stopped or ended, or 0 after the deadline."""
    pause = 0.0001
    while time.monotonic() < deadline:
        pid, status = os.waitpid(-1, WALL | os.WNOHANG)
        if pid:
            return pid, status
        time.sleep(pause)
        pause = min(pause * 1.5, 0.002)
    return 0, 0


def end(alive):
    for pid in alive:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    try:
        while True:
            os.waitpid(-1, WALL)
    except ChildProcessError:
        pass


def registers(pid):
    regs = (ctypes.c_ulonglong * 27)()
    libc.ptrace(PTRACE_GETREGS, pid, None, ctypes.addressof(regs))
    return regs


def is_of(sort, pid):
    """Returns whether a stopped call counts: of writes only those to files, of opens only those that may create one."""
    regs = registers(pid)
    if sort == "write":
        descriptor = regs[CALLS[sort][regs[CALL]][0]]
        file = name(pid, descriptor)
        return descriptor > 2 and file.startswith("/") and not file.startswith("/dev/")
    if sort == "create":
        flags = {2: lambda: regs[RSI], 85: lambda: os.O_CREAT, 257: lambda: regs[RDX],
                 437: lambda: struct.unpack("Q", memory(pid, regs[RDX], 8))[0]}[regs[CALL]]()
        return bool(flags & os.O_CREAT)
    return True


def fail(pid, error):
    regs = registers(pid)
    regs[CALL], regs[RAX] = 2**64 - 1, 2**64 - error
    libc.ptrace(PTRACE_SETREGS, pid, None, ctypes.addressof(regs))


def kill(pid):
    os.kill(pid, signal.SIGKILL)


def describe(sort, pid):
    regs = registers(pid)
    at, is_path = CALLS[sort][regs[CALL]]
    what = memory(pid, regs[at], 400).split(b"\0")[0].decode(errors="replace") if is_path else name(pid, regs[at])
    with open(f"/proc/{pid}/comm") as comm:
        return f"{sort} of {what} by {comm.read().strip()}"


def name(pid, descriptor):
    try:
        return os.readlink(f"/proc/{pid}/fd/{descriptor}")
    except OSError:
        return ""


def memory(pid, address, length):
    with open(f"/proc/{pid}/mem", "rb", 0) as bytes:
        bytes.seek(address)
        try:
            return bytes.read(length)
        except OSError:  # it reaches into the next page, which is not mapped
            return bytes.read(4096 - address % 4096)
