/* feed: batches from wherever the sources are: by a loader, which reaches any sample, or in the order in which they come. */
#ifndef ZN_DATA_FEED_H
#define ZN_DATA_FEED_H

#include "data/flow.h"
#include "data/loader.h"

struct zn_feed { struct zn_loader *loader; struct zn_flow *flow; }; /* one of the two */

/* As zn_flow_new where a source can only be read from its beginning, else as zn_loader_new. */
int zn_feed_open(struct zn_feed *f, const struct zn_sources *s, const struct zn_loader_ask *ask, struct zn_err *err);
int zn_feed_next(const struct zn_feed *f, const struct zn_batch **ret, struct zn_err *err);
void zn_feed_put(const struct zn_feed *f, const struct zn_batch *b);
void zn_feed_close(struct zn_feed *f);

#endif
