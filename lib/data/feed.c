#include "data/feed.h"

int zn_feed_open(struct zn_feed *f, const struct zn_sources *s, const struct zn_loader_ask *ask, struct zn_err *err)
{
	*f = (struct zn_feed){ NULL, NULL };
	return zn_sources_have_stream(s) ? zn_flow_new(s, ask, &f->flow, err) : zn_loader_new(s, ask, &f->loader, err);
}

int zn_feed_next(const struct zn_feed *f, const struct zn_batch **ret, struct zn_err *err)
{
	return f->flow ? zn_flow_next(f->flow, ret, err) : zn_loader_next(f->loader, ret, err);
}

void zn_feed_put(const struct zn_feed *f, const struct zn_batch *b)
{
	if (f->flow)
		zn_flow_put(f->flow, b);
	else
		zn_loader_put(f->loader, b);
}

void zn_feed_close(struct zn_feed *f)
{
	zn_flow_free(f->flow);
	zn_loader_free(f->loader);
	*f = (struct zn_feed){ NULL, NULL };
}
