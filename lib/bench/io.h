/* io: ways to keep so many reads of a file under way. */
#ifndef ZN_BENCH_IO_H
#define ZN_BENCH_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/idset.h"
#include "zenith.h"

enum { ZN__IO_MS = 150, ZN__IO_DEPTH_MAX = 32 }; /* how long each measurement reads */

struct zn__io_load {
	int fd;                        /* opened with O_DIRECT */
	uint64_t bytes;                /* that are read again and again: whole blocks */
	size_t block;
	unsigned depth;                /* reads under way at once */
	bool random;
	char *room;                    /* depth blocks, aligned for O_DIRECT */
};

/* Where the next read begins; at is 0 before the first. */
uint64_t zn__io_next(const struct zn__io_load *load, uint64_t *at);

/* Reads a second.  -ENOTSUP: built without liburing; -ENOSYS, -EPERM and others where the kernel has none for us. */
int zn__io_by_ring(const struct zn__io_load *load, double *ret, struct zn_err *err);
/* The same by a thread for each read under way, on these CPUs in turn. */
int zn__io_by_threads(const struct zn__io_load *load, const struct zn_idset *cpus, double *ret, struct zn_err *err);
/* The same by fio's engine io_uring. */
int zn__io_by_fio(const struct zn__io_load *load, double *ret, struct zn_err *err);
/* 0 if the kernel lets this process have an io_uring, and we know how to use it. */
int zn__io_ring_try(void);

#endif
