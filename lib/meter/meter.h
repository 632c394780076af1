/* meter: numbers that say how a program does, and their text as Prometheus reads it (text format 0.0.4).  Pure.
 *
 * Words: a *family* is a name with a help and a type; a *sample* is one number of it, told from its others by *labels*.
 */
#ifndef ZN_METER_METER_H
#define ZN_METER_METER_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum zn_meter_type { ZN_METER_COUNTER, ZN_METER_GAUGE, ZN_METER_HISTOGRAM };

struct zn_meter { const char *name, *help; enum zn_meter_type type; };

/* How many values there were up to each bound, and beyond the last.  The bounds rise, are the caller's and live as long. */
enum { ZN_HIST_BOUNDS = 16 };
struct zn_hist {
	const double *le;
	unsigned n_le;                           /* up to ZN_HIST_BOUNDS */
	uint64_t count[ZN_HIST_BOUNDS + 1];      /* of each bucket alone */
	double sum;
};
#define ZN_HIST(bounds) { .le = (bounds), .n_le = sizeof(bounds) / sizeof(*(bounds)) }

void zn_hist_add(struct zn_hist *h, double value);

/* name: [a-zA-Z_][a-zA-Z0-9_]*; value: any UTF-8. */
struct zn_label { const char *name, *value; };
struct zn_labels { const struct zn_label *v; size_t n; };

/* HELP and TYPE, before the samples of the family. */
void zn_meter_begin(struct zn_buf *to, const struct zn_meter *m);
void zn_meter_put(struct zn_buf *to, const struct zn_meter *m, struct zn_labels labels, double value);
void zn_meter_put_hist(struct zn_buf *to, const struct zn_meter *m, struct zn_labels labels, const struct zn_hist *h);

#endif
