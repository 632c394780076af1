/* pinned_record: what the kernel says where a process runs, as it is shown (zn-pin --verify). */
#ifndef ZN_PROC_PINNED_RECORD_H
#define ZN_PROC_PINNED_RECORD_H

#include "proc/pin.h"
#include "rec/field.h"

struct zn_pinned_record {
	uint32_t pid, threads;
	const char *cpus, *cpus_allowed;
	struct zn_u32s numas_allowed;
	const char *mem;
	struct zn_u32s mem_numas;
	struct zn_ou64 pages_left;
};

extern const struct zn_kind zn_pinned_kind;

/* Asks the kernel; pid 0: the calling process.  pages_left is the caller's to set.  Texts and lists live in a. */
int zn_pinned_record_read(pid_t pid, struct zn_arena *a, struct zn_pinned_record *ret, struct zn_err *err);
/* The same in words: "process 4711 (1 thread) runs on cpus 0-3, memory policy bind on numa node 0". */
void zn_pinned_record_say(const struct zn_pinned_record *r, struct zn_buf *to);

#endif
