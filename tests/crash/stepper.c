/* SPDX-License-Identifier: MIT */
/*
 * Single steps and breakpoints over ptrace, x86-64. See stepper.h.
 */
#include "stepper.h"

#include <errno.h>
#include <link.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#define BREAKPOINT 0xcc

struct code {
    uintptr_t first;
    uintptr_t end;
};

static struct code own;
static struct code library;

/* Labels of the instructions of the marks: the breakpoint itself, in functions that stay calls. */
extern const char step_label_end[];

__attribute__((noinline)) void step_mark_begin(void)
{
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    __asm__ volatile("int3" ::: "memory");
}

__attribute__((noinline)) void step_mark_end(void)
{
    __asm__ volatile(".globl step_label_end\n.hidden step_label_end\nstep_label_end: int3" ::
                         : "memory");
}

static int is_in(const struct code *code, uintptr_t at)
{
    return at >= code->first && at < code->end;
}

static int find_code(struct dl_phdr_info *info, size_t bytes, void *context)
{
    (void)bytes;
    (void)context;
    struct code *code = NULL;
    if (info->dlpi_name[0] == 0)
        code = &own;
    else if (strstr(info->dlpi_name, "libshmbus") != NULL)
        code = &library;
    for (int i = 0; code != NULL && code->end == 0 && i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && part->p_flags & PF_X) {
            code->first = info->dlpi_addr + part->p_vaddr;
            code->end = code->first + part->p_memsz;
        }
    }
    return 0;
}

int step_prepare(void)
{
    dl_iterate_phdr(find_code, NULL);
    return own.end > 0 && library.end > 0 ? 0 : -1;
}

/* Waits for the next stop. Returns 1 for a trap; 0 for anything else. */
static int trapped(pid_t child, int *out_status)
{
    while (waitpid(child, out_status, 0) < 0)
        if (errno != EINTR)
            return 0;
    return WIFSTOPPED(*out_status) && WSTOPSIG(*out_status) == SIGTRAP;
}

static int go(pid_t child, int request, int *out_status)
{
    return ptrace(request, child, NULL, NULL) == 0 && trapped(child, out_status);
}

static void read_registers(pid_t child, struct user_regs_struct *out_registers)
{
    memset(out_registers, 0, sizeof *out_registers);
    ptrace(PTRACE_GETREGS, child, NULL, out_registers);
}

static void *pointer(uintptr_t address)
{
    return (void *)address; /* of the child, never followed here */
}

static long peek(pid_t child, uintptr_t address)
{
    errno = 0;
    return ptrace(PTRACE_PEEKTEXT, child, pointer(address), NULL);
}

static void poke(pid_t child, uintptr_t address, long word)
{
    ptrace(PTRACE_POKETEXT, child, pointer(address), pointer((uintptr_t)word));
}

/* Runs freely until an instruction is about to be executed, or the end mark was. */
static enum step_end run_until(pid_t child, uintptr_t at, int *out_status)
{
    struct user_regs_struct registers;
    long word = peek(child, at);
    poke(child, at, (word & ~0xffL) | BREAKPOINT);
    if (!go(child, PTRACE_CONT, out_status))
        return STEP_DIED;
    poke(child, at, word);
    read_registers(child, &registers);
    if (registers.rip == (uintptr_t)step_label_end + 1)
        return STEP_MARK;
    if (registers.rip != at + 1)
        return STEP_DIED;
    registers.rip = at;
    ptrace(PTRACE_SETREGS, child, NULL, &registers);
    return STEP_REACHED;
}

/* Out of a function that is not ours and back to its caller, whatever it calls. */
static enum step_end run_back(pid_t child, int *out_status)
{
    struct user_regs_struct registers;
    read_registers(child, &registers);
    uintptr_t stack = registers.rsp;
    uintptr_t back = (uintptr_t)peek(child, stack);
    if (!is_in(&own, back) && !is_in(&library, back))
        return STEP_DIED;
    for (;;) {
        enum step_end end = run_until(child, back, out_status);
        if (end != STEP_REACHED)
            return end;
        read_registers(child, &registers);
        if (registers.rsp > stack)
            return end;
        /* The same place, deeper down: past it. */
        if (!go(child, PTRACE_SINGLESTEP, out_status))
            return STEP_DIED;
    }
}

enum step_end step_await(pid_t child, int *out_status)
{
    if (!trapped(child, out_status))
        return STEP_DIED;
    ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_EXITKILL);
    return STEP_REACHED;
}

static int add_point(struct trace *trace, struct point point)
{
    if ((trace->count & (trace->count + 1)) == 0) {
        size_t room = trace->count * 2 + 2;
        struct point *more = realloc(trace->points, room * sizeof *more);
        if (more == NULL)
            return -1;
        trace->points = more;
    }
    trace->points[trace->count++] = point;
    return 0;
}

enum step_end step_through(pid_t child, struct trace *trace, int (*changed)(void), int *out_status)
{
    uint32_t *times = calloc(library.end - library.first, sizeof *times);
    struct user_regs_struct registers;
    enum step_end end = STEP_REACHED;
    uint32_t is_seam = 1;
    uintptr_t last = 0;
    while (times != NULL && end == STEP_REACHED) {
        read_registers(child, &registers);
        uintptr_t at = registers.rip;
        if (is_in(&library, at)) {
            /* A repeated string instruction stops at each round, and is one point. */
            uint32_t is_new = (uint32_t)changed() | is_seam;
            if (at != last &&
                add_point(trace, (struct point){at, times[at - library.first]++, is_new}) < 0)
                break;
            is_seam = 0;
        } else if (!is_in(&own, at)) {
            end = run_back(child, out_status);
            is_seam = 1;
            last = 0;
            continue;
        } else {
            is_seam = 1;
        }
        last = at;
        if (!go(child, PTRACE_SINGLESTEP, out_status))
            end = STEP_DIED;
        else if (at == (uintptr_t)step_label_end)
            end = STEP_MARK;
    }
    if (times == NULL || end == STEP_REACHED) {
        *out_status = 0;
        end = STEP_DIED;
    }
    free(times);
    return end;
}

enum step_end step_to(pid_t child, const struct point *point, int *out_status)
{
    for (uint32_t i = 0;; i++) {
        enum step_end end = run_until(child, point->at, out_status);
        if (end != STEP_REACHED || i == point->before)
            return end;
        struct user_regs_struct registers;
        /* Past all rounds of a repeated string instruction. */
        do {
            if (!go(child, PTRACE_SINGLESTEP, out_status))
                return STEP_DIED;
            read_registers(child, &registers);
        } while (registers.rip == point->at);
    }
}

enum step_end step_on(pid_t child, int *out_status)
{
    struct user_regs_struct registers;
    if (!go(child, PTRACE_CONT, out_status))
        return STEP_DIED;
    read_registers(child, &registers);
    return registers.rip == (uintptr_t)step_label_end + 1 ? STEP_MARK : STEP_DIED;
}

int step_release(pid_t child)
{
    int status = 0;
    ptrace(PTRACE_DETACH, child, NULL, NULL);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return status;
}

void step_kill(pid_t child)
{
    int status;
    kill(child, SIGKILL);
    while (waitpid(child, &status, 0) == child || errno == EINTR)
        if (WIFEXITED(status) || WIFSIGNALED(status))
            return;
}
