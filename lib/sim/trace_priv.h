/* trace_priv: what the readers of traces share. */
#ifndef ZN_SIM_TRACE_PRIV_H
#define ZN_SIM_TRACE_PRIV_H

#include "sim/trace.h"

enum { ZN__TRACE_GPUS_MAX = 1 << 24 };

/* Room for one more behind t->n, which the caller counts up; NULL: out of memory. */
struct zn_trace_job *zn__trace_new_job(struct zn_trace *t, size_t *cap);

bool zn__trace_is_records(int first_byte);
int zn__trace_take_records(const char *path, struct zn_trace *t, struct zn_err *err);

#endif
