// Runs a grid on the host. The threads of a block are fibers of one system thread: each runs until it ends or must
// wait, and then the next one runs. A thread gets its own stack only while earlier threads wait; in a kernel without
// barriers, all threads of a grid run on one stack, one after another.
//
// A warp runs to the block's next barrier before another warp runs, so that a forgotten barrier shows in the results.
//
// `_setjmp` and `_longjmp` make no system call. Their checked form refuses to leave a stack, hence the next line.
#undef _FORTIFY_SOURCE
#include "cuda_on_host.h"
#include "launch.h"

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace simulated {
namespace {

const size_t STACK = 64 << 10;
const size_t GUARD = 4 << 10;
const unsigned MAX_WARPS = 32;

struct Warp;

struct Fiber {
    jmp_buf context;
    // Index of the thread that it runs.
    uint3 index;
    unsigned number;
    Warp* warp;
    Fiber* next;
};

struct Queue {
    Fiber* first = nullptr;
    Fiber* last = nullptr;

    void push(Fiber* fiber) {
        fiber->next = nullptr;
        (first ? last->next : first) = fiber;
        last = fiber;
    }
    Fiber* pop() {
        Fiber* fiber = first;
        first = fiber->next;
        return fiber;
    }
    // Moves all of another queue to the front of this one.
    void take_all(Queue& other) {
        if (!other.first) return;
        if (!first) last = other.last;
        other.last->next = first;
        first = other.first;
        other.first = nullptr;
    }
};

struct Barrier {
    unsigned size = 0;
    unsigned arrived = 0;
    // Number of times that it has opened.
    unsigned generation = 0;
    Queue waiting;
};

struct Warp {
    Barrier barrier;
    // Values that lanes exchange, in two alternating buffers: a lane that writes the third value has passed the second
    // barrier, so all lanes have read the first value.
    uint64_t values[2][WARP];
};

// The running grid.
struct {
    const char* name;
    const std::function<void()>* thread;
    // Threads of a block: their number, the number begun, the number ended, and the index of the next to begin.
    unsigned size, begun, ended;
    uint3 next;
    Barrier barrier;
    Warp warps[MAX_WARPS];
    Queue ready;
    jmp_buf caller;
} grid;

Fiber* current;
// Idle fibers, the last used first.
Fiber* idle;

// Advances to the next index, x first; returns false after the last.
bool advance(uint3& index, const uint3& size) {
    if (++index.x < size.x) return true;
    index.x = 0;
    if (++index.y < size.y) return true;
    index.y = 0;
    if (++index.z < size.z) return true;
    index.z = 0;
    return false;
}

void begin_thread(Fiber* fiber) {
    fiber->number = grid.begun++;
    fiber->index = threadIdx = grid.next;
    fiber->warp = &grid.warps[fiber->number / WARP];
    advance(grid.next, blockDim);
}

[[noreturn]] void resume(Fiber* fiber) {
    current = fiber;
    threadIdx = fiber->index;
    _longjmp(fiber->context, 1);
}

void live();

[[noreturn]] void create_fiber() {
    static unsigned num_fibers = 0;
    void* memory = mmap(nullptr, GUARD + STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) refuse("there is no memory for its threads' stacks");
    mprotect(memory, GUARD, PROT_NONE);
    current = new Fiber;
    static ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = static_cast<char*>(memory) + GUARD;
    // Stacks are staggered, because stacks that end at the same offset in a page would compete for few cache lines.
    context.uc_stack.ss_size = STACK - num_fibers++ % 16 * 256;
    makecontext(&context, &live, 0);
    setcontext(&context);
    std::abort();
}

// Begins the next thread on an idle fiber.
[[noreturn]] void begin_on_another() {
    if (!idle) create_fiber();
    Fiber* fiber = idle;
    idle = fiber->next;
    resume(fiber);
}

// Switches to another fiber.
[[noreturn]] void leave() {
    if (grid.ready.first) resume(grid.ready.pop());
    if (grid.begun == grid.size) refuse("threads wait at a barrier that others of their warp or block never reach");
    begin_on_another();
}

__attribute__((noinline)) void step_aside() {
    if (_setjmp(current->context) == 0) leave();
}

__attribute__((noinline)) void wait(Barrier& barrier) {
    if (++barrier.arrived < barrier.size) {
        barrier.waiting.push(current);
        step_aside();
        return;
    }
    barrier.arrived = 0;
    ++barrier.generation;
    grid.ready.take_all(barrier.waiting);
}

__attribute__((noinline)) void return_to_caller() {
    if (_setjmp(current->context) == 0) _longjmp(grid.caller, 1);
}

void be_idle() {
    current->next = idle;
    idle = current;
}

// The loop of a fiber: runs one thread after another, of any grid. Threads that can continue do so before others begin,
// so that few stacks are in use.
void live() {
    Fiber* self = current;
    for (;;) {
        begin_thread(self);
        (*grid.thread)();
        ++grid.ended;
        if (grid.ended == grid.size) {
            grid.begun = grid.ended = 0;
            if (advance(blockIdx, gridDim)) continue;
            be_idle();
            return_to_caller();
        } else if (grid.ready.first || grid.begun == grid.size) {
            be_idle();
            step_aside();
        }
    }
}

__attribute__((noinline)) void enter() {
    if (_setjmp(grid.caller) == 0) begin_on_another();
}

}  // namespace

unsigned lane() { return current->number % WARP; }

void wait_for_block() { wait(grid.barrier); }

uint64_t exchange(uint64_t bits, unsigned from) {
    Barrier& barrier = current->warp->barrier;
    uint64_t* values = current->warp->values[barrier.generation % 2];
    values[current->number % WARP] = bits;
    unsigned num_lanes = barrier.size;
    wait(barrier);
    return from < num_lanes ? values[from] : bits;
}

void refuse(const char* what) {
    std::fprintf(stderr, "simulated GPU: kernel %s, block (%u, %u, %u): %s\n", grid.name, blockIdx.x, blockIdx.y, blockIdx.z,
                 what);
    std::abort();
}

void run_grid(const char* name, Size size, Size block, const std::function<void()>& thread) {
    static std::mutex mutex;
    std::lock_guard<std::mutex> lock(mutex);
    gridDim = {size.x, size.y, size.z};
    blockDim = {block.x, block.y, block.z};
    blockIdx = {0, 0, 0};
    grid.name = name;
    grid.thread = &thread;
    grid.size = block.x * block.y * block.z;
    grid.begun = grid.ended = 0;
    grid.next = {0, 0, 0};
    grid.barrier.size = grid.size;
    for (unsigned first = 0; first < grid.size; first += WARP)
        grid.warps[first / WARP].barrier.size = grid.size - first < WARP ? grid.size - first : WARP;
    enter();
}

}  // namespace simulated
