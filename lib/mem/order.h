/* order: the few operations that the rings are made of, by name, so that a test can stand in for the memory. */
#ifndef ZN_MEM_ORDER_H
#define ZN_MEM_ORDER_H

#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	ZN_LINE = 128,        /* two cache lines: processors fetch them in pairs */
	ZN__LOOKS = 64,       /* before who waits gives his CPU away */
};

#define zn__load(p, order)            __atomic_load_n(p, __ATOMIC_##order)
#define zn__own(p)                    __atomic_load_n(p, __ATOMIC_RELAXED) /* which only this thread writes */
#define zn__store(p, v, order)        __atomic_store_n(p, v, __ATOMIC_##order)
#define zn__swap(p, was, v, order)    __atomic_compare_exchange_n(p, was, v, 1, __ATOMIC_##order, __ATOMIC_RELAXED)
#define zn__fence()                   __atomic_thread_fence(__ATOMIC_SEQ_CST)

/* Plain memory that the indexes guard. */
#define zn__read(p)                   (*(p))
#define zn__write(p, v)               (*(p) = (v))

static inline void zn__pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static inline void zn__yield(void)
{
	sched_yield();
}

/* Until somebody wakes p, or at once when it is not `while_is`.  Both work between processes. */
static inline void zn__futex_wait(const uint32_t *p, uint32_t while_is)
{
	syscall(SYS_futex, p, FUTEX_WAIT, while_is, NULL, NULL, 0);
}

static inline void zn__futex_wake(const uint32_t *p)
{
	syscall(SYS_futex, p, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

#endif
