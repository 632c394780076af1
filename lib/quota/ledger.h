/* ledger: GPU time that was used, over a window that slides: what was used longer ago than that counts no more.  It is kept
 * in 64 parts of the window, so the window's far end is sharp to a 64th of it.
 */
#ifndef ZN_QUOTA_LEDGER_H
#define ZN_QUOTA_LEDGER_H

#include <stdint.h>

enum { ZN_LEDGER_PARTS = 64 };

struct zn_ledger {
	double window_s;               /* above 0 */
	int64_t newest;                /* the number of the latest part since the epoch */
	double gpu_s[ZN_LEDGER_PARTS]; /* of part N at N modulo their number */
};

/* gpus may be negative: what was added too much. */
void zn_ledger_add(struct zn_ledger *l, double from_s, double to_s, double gpus);
/* A time before the last one is a clock that was set back. */
double zn_ledger_sum(struct zn_ledger *l, double now_s);
/* When the window's far end moves next. */
double zn_ledger_next_s(const struct zn_ledger *l, double now_s);

#endif
