/* Batches as ArrowArrayStream.  What the stream and the arrays that came out of it share goes with the last of them. */
#include "data/arrow_c.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct shared {
	struct zn_batch_source source;
	atomic_uint refs;              /* the stream, and each batch that is out */
};

struct stream {
	struct shared *shared;
	struct zn__columns columns;
	bool knows, ended;             /* the columns are settled; the source has no more */
	uint32_t owed;                 /* empty batches ahead of first */
	const struct zn_batch *first;  /* read to know the columns; NULL: handed out, or none */
	struct zn_err err;
};

/* What an array holds of its batch. */
struct loan {
	struct shared *shared;
	const struct zn_batch *batch;
};

static void drop(struct shared *s)
{
	if (atomic_fetch_sub(&s->refs, 1) > 1)
		return;
	if (s->source.close)
		s->source.close(s->source.arg);
	free(s);
}

static void give_back(struct stream *s, const struct zn_batch *b)
{
	s->shared->source.give_back(s->shared->source.arg, b);
}

static void end_loan(void *arg)
{
	struct loan *l = arg;

	l->shared->source.give_back(l->shared->source.arg, l->batch);
	drop(l->shared);
	free(l);
}

static int next_batch(struct stream *s, const struct zn_batch **ret)
{
	s->err.text[0] = '\0';
	int rc = s->ended ? 0 : s->shared->source.next(s->shared->source.arg, ret, &s->err);
	s->ended = rc == 0;
	return rc;
}

/* The columns of a batch that fits them itself: one that is refused makes none. */
static int learn_from(struct stream *s, const struct zn_batch *b)
{
	int rc = zn__columns_learn(&s->columns, b, &s->err);

	if (rc == 0)
		rc = zn__columns_lay(&s->columns, b, &s->err);
	if (rc == 0) {
		s->first = b;
		s->knows = true;
		return 0;
	}
	zn__columns_done(&s->columns);
	give_back(s, b);
	return rc;
}

/* Reads on to the first batch that has samples. */
static int learn(struct stream *s)
{
	while (!s->knows) {
		const struct zn_batch *b;
		int rc = next_batch(s, &b);
		if (rc > 0 && b->n)
			return learn_from(s, b);
		if (rc < 0)
			return rc;
		s->knows = rc == 0;
		s->owed += (uint32_t)rc;
		if (rc)
			give_back(s, b);
	}
	return 0;
}

/* The arrays of a batch, which is given back with them, or now. */
static int export(struct stream *s, const struct zn_batch *b, struct ArrowArray *out)
{
	struct loan *l = malloc(sizeof(*l));
	int rc = l ? zn__columns_lay(&s->columns, b, &s->err) : zn_err_set(&s->err, -ENOMEM, "out of memory");

	if (rc == 0) {
		*l = (struct loan){ .shared = s->shared, .batch = b };
		rc = zn__arrow_c_array(&s->columns, end_loan, l, out, &s->err);
	}
	if (rc == 0) {
		atomic_fetch_add(&s->shared->refs, 1);
		return 0;
	}
	free(l);
	give_back(s, b);
	return rc;
}

static int export_empty(struct stream *s, struct ArrowArray *out)
{
	static const struct zn_batch empty;
	int rc = zn__columns_lay(&s->columns, &empty, &s->err);

	if (rc == 0)
		rc = zn__arrow_c_array(&s->columns, NULL, NULL, out, &s->err);
	s->owed -= rc == 0;
	return rc;
}

static int next_array(struct stream *s, struct ArrowArray *out)
{
	const struct zn_batch *b = s->first;
	int rc = 1;

	if (s->owed)
		return export_empty(s, out);
	if (!b)
		rc = next_batch(s, &b);
	s->first = NULL;
	if (rc > 0)
		return export(s, b, out);
	if (rc == 0)
		out->release = NULL;
	return rc;
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *out)
{
	struct stream *s = stream->private_data;
	int rc = learn(s);

	return -(rc < 0 ? rc : next_array(s, out));
}

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out)
{
	struct stream *s = stream->private_data;
	int rc = learn(s);

	return -(rc < 0 ? rc : zn__arrow_c_schema(&s->columns, out, &s->err));
}

static const char *get_last_error(struct ArrowArrayStream *stream)
{
	struct stream *s = stream->private_data;

	return s->err.text[0] ? s->err.text : NULL;
}

static void release_stream(struct ArrowArrayStream *stream)
{
	struct stream *s = stream->private_data;

	if (s->first)
		give_back(s, s->first);
	zn__columns_done(&s->columns);
	drop(s->shared);
	free(s);
	stream->release = NULL;
}

int zn_batches_export_arrow(const struct zn_batch_source *source, struct ArrowArrayStream *ret, struct zn_err *err)
{
	struct stream *s = calloc(1, sizeof(*s));
	struct shared *shared = malloc(sizeof(*shared));

	if (!s || !shared) {
		free(s);
		free(shared);
		return zn_err_set(err, -ENOMEM, "out of memory");
	}
	*shared = (struct shared){ .source = *source, .refs = 1 };
	s->shared = shared;
	*ret = (struct ArrowArrayStream){ .get_schema = get_schema, .get_next = get_next, .get_last_error = get_last_error,
	                                  .release = release_stream, .private_data = s };
	return 0;
}
