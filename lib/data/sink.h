/* sink: where batches go: to a descriptor, as MessagePack records or as a stream of Arrow's; or to another process, as they lie. */
#ifndef ZN_DATA_SINK_H
#define ZN_DATA_SINK_H

#include "data/arrow.h"
#include "data/pack.h"
#include "data/share.h"

struct zn_sink {
	struct zn_pack pack;
	struct zn_arrow *arrow;        /* NULL: not that */
	struct zn_share *share;        /* NULL: not that; takes batches over, and puts them back */
	int loss_fd;                   /* Arrow: who reads no losses in the stream gets them here, as JSON lines */
};

/* fd and loss_fd stay the caller's. */
int zn_sink_open(struct zn_sink *s, int fd, bool arrow, int loss_fd, struct zn_err *err);
/* The other one: share is the sink's from then on. */
void zn_sink_open_share(struct zn_sink *s, struct zn_share *share);
int zn_sink_loss(struct zn_sink *s, const struct zn_loss *loss);
int zn_sink_batch(struct zn_sink *s, const struct zn_batch *batch, struct zn_err *err);
/* Bytes that went, also before a failure. */
uint64_t zn_sink_written(const struct zn_sink *s);
/* The end of a stream that has one. */
int zn_sink_end(struct zn_sink *s, struct zn_err *err);
void zn_sink_close(struct zn_sink *s);

#endif
