/* stages: where the time of loading goes, and which stage holds up the others. */
#ifndef ZN_DATA_STAGES_H
#define ZN_DATA_STAGES_H

#include "data/flow.h"
#include "data/loader.h"
#include "rec/field.h"

struct zn_stage {
	double time_s;                 /* since loading began */
	const char *stage;             /* "device", "copy", "parse", "decode", "ready", "sink"; of streams "stream", "unpack", "sink" */
	struct zn_ou64 bytes;          /* that have gone through it */
	struct zn_of64 rate;           /* of them a second */
	struct zn_of64 busy_s;         /* it worked, all threads together */
	struct zn_of64 waited_s;       /* it waited, all threads together, ... */
	const char *waited_for;        /* ... for "device", "server", "room", "batch", "stream", "reader" */
	struct zn_of64 queue;          /* of a device: requests asked for ahead, of ready: batches, when one was taken; the mean */
	bool is_bottleneck;            /* most time went there */
	const char *text;              /* of that one: a sentence's end, "the device: most time it was waited for" */
};
extern const struct zn_kind zn_stage_kind;

enum { ZN_STAGES_MAX = 6 };

/* What has gone to the sink. */
struct zn_stage_sink { uint64_t bytes, ns; };

/* How many; ret has room for ZN_STAGES_MAX.  has_threads: others than the caller read.  Pure. */
size_t zn_stages_of_loader(const struct zn_loader_stats *s, const struct zn_stage_sink *sink, bool has_threads, double time_s, struct zn_stage *ret);
size_t zn_stages_of_flow(const struct zn_flow_stats *s, const struct zn_stage_sink *sink, double time_s, struct zn_stage *ret);
/* The one that is the bottleneck. */
const struct zn_stage *zn_stages_worst(const struct zn_stage *v, size_t n);

#endif
