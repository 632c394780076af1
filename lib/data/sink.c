#include "data/sink.h"

#include <errno.h>
#include <string.h>

#include "rec/writer.h"

int zn_sink_open(struct zn_sink *s, int fd, bool arrow, int loss_fd, struct zn_err *err)
{
	*s = (struct zn_sink){ .loss_fd = loss_fd };
	zn_pack_init(&s->pack, fd);
	return arrow ? zn_arrow_new(fd, NULL, &s->arrow, err) : 0;
}

void zn_sink_open_share(struct zn_sink *s, struct zn_share *share)
{
	*s = (struct zn_sink){ .share = share };
	zn_pack_init(&s->pack, -1);
}

static int tell(int fd, const struct zn_loss *loss)
{
	struct zn_writer_opts json = { .format = ZN_FORMAT_JSON };
	struct zn_writer *w;
	int rc = zn_writer_new(fd, &json, &w);

	if (rc < 0)
		return rc;
	rc = zn_writer_put(w, &zn_loss_kind, loss);
	int ended = zn_writer_end(w);
	zn_writer_free(w);
	return rc < 0 ? rc : ended;
}

int zn_sink_loss(struct zn_sink *s, const struct zn_loss *loss)
{
	if (s->share)
		return zn_share_loss(s->share, loss);
	return s->arrow ? tell(s->loss_fd, loss) : zn_pack_loss(&s->pack, loss);
}

int zn_sink_batch(struct zn_sink *s, const struct zn_batch *batch, struct zn_err *err)
{
	if (s->arrow)
		return zn_arrow_write(s->arrow, batch, err);
	int rc = s->share ? zn_share_batch(s->share, batch) : zn_pack_batch(&s->pack, batch);
	return rc < 0 ? zn_err_set(err, rc, "can't write a batch: %s", strerrordesc_np(-rc)) : 0;
}

uint64_t zn_sink_written(const struct zn_sink *s)
{
	return s->arrow ? zn_arrow_stats_get(s->arrow)->bytes : s->pack.written;
}

int zn_sink_end(struct zn_sink *s, struct zn_err *err)
{
	int rc = s->share ? zn_share_end(s->share) : 0;

	if (rc < 0)
		return zn_err_set(err, rc, "batches did not all come back: %s", strerrordesc_np(-rc));
	return s->arrow ? zn_arrow_end(s->arrow, err) : 0;
}

void zn_sink_close(struct zn_sink *s)
{
	zn_pack_done(&s->pack);
	zn_arrow_free(s->arrow);
	zn_share_free(s->share);
	s->arrow = NULL;
	s->share = NULL;
}
