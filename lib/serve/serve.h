/* serve: zn-schedd's main loop. */
#ifndef ZN_SERVE_SERVE_H
#define ZN_SERVE_SERVE_H

#include <stdbool.h>

#include "zenith.h"

struct zn_serve_opts {
	const char *spool;     /* absolute */
	const char *config;    /* NULL: the usual place */
	const char *nodes;     /* which nodes it serves: queue/nodes.h; NULL: as remembered in the spool, else this machine */
	bool on_demand;        /* started by zn-submit: goes away when idle */
	bool for_all;          /* machine-wide: for all users of the machine, with an agent that is root */
	const char *log;       /* the file that standard error is, to be kept small; NULL: it is none of ours */
	const char *metrics;   /* "ADDRESS:PORT" to serve them at; NULL: as it is configured */
	bool metrics_anywhere; /* that address may be one that others reach */
	int ready_fd;          /* gets a byte when the socket listens; -1: none */
};

enum { ZN_LOG_MAX = 4 << 20 }; /* bytes of opts->log and of the one before it */

/* Recovers the queue, listens, and runs until told to stop.  Returns 0 after an orderly stop.  -EBUSY: another
 * zn-schedd has this spool.
 */
int zn_serve(const struct zn_serve_opts *opts, struct zn_err *err);

/* Whether metrics could be served there: -EINVAL and why not. */
int zn_serve_check_metrics(const char *listen, bool anywhere, struct zn_err *err);

/* What a spool holds, without touching it: counts records and damaged ranges. */
struct zn_spool_check { uint64_t records, jobs, damaged_ranges, damaged_bytes, contradictions; };
int zn_serve_check(const char *spool, void (*say)(const char *line), struct zn_spool_check *ret, struct zn_err *err);

#endif
