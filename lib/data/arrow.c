#include "data/arrow.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "data/arrow_message.h"

struct zn_arrow {
	int fd;
	int broken;            /* -errno of the write that failed */
	bool knows;            /* the columns are settled */
	bool begun, ended;
	uint32_t owed;         /* empty batches from before there was a schema */
	struct zn__columns columns;
	struct zn_buf head;
	struct zn_arrow_stats stats;
};

static int complain_memory(struct zn_err *err)
{
	return zn_err_set(err, -ENOMEM, "out of memory");
}

/* Steps over n bytes that were written. */
static void step(struct iovec **v, size_t *n_vectors, size_t n)
{
	while (*n_vectors && n >= (*v)->iov_len) {
		n -= (*v)->iov_len;
		(*v)++;
		(*n_vectors)--;
	}
	if (n) {
		(*v)->iov_base = (char *)(*v)->iov_base + n;
		(*v)->iov_len -= n;
	}
}

static bool may_go_on(int fd)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, -1) >= 0 || errno == EINTR;
	return errno == EINTR;
}

static int write_vectors(struct zn_arrow *a, struct iovec *v, size_t n_vectors, struct zn_err *err)
{
	while (n_vectors) {
		a->stats.writes++;
		ssize_t k = writev(a->fd, v, n_vectors < IOV_MAX ? (int)n_vectors : IOV_MAX);
		if (k < 0 && may_go_on(a->fd))
			continue;
		if (k < 0) {
			a->broken = -errno;
			return zn_err_set(err, a->broken, "can't write the stream: %s", strerror(-a->broken));
		}
		a->stats.bytes += (uint64_t)k;
		step(&v, &n_vectors, (size_t)k);
	}
	return 0;
}

/* What was built in a->head is there, or can be built again another time. */
static int check_head(struct zn_arrow *a, struct zn_err *err)
{
	if (!a->head.failed)
		return 0;
	zn_buf_done(&a->head);
	return complain_memory(err);
}

static int write_head(struct zn_arrow *a, struct zn_err *err)
{
	int rc = check_head(a, err);

	return rc < 0 ? rc : write_vectors(a, &(struct iovec){ a->head.data, a->head.len }, 1, err);
}

/* What is laid out, in one go with its metadata. */
static int write_laid(struct zn_arrow *a, uint32_t rows, struct zn_err *err)
{
	zn__arrow_batch(&a->columns, rows, &a->head);
	int rc = check_head(a, err);
	if (rc < 0)
		return rc;
	a->columns.vectors[0] = (struct iovec){ a->head.data, a->head.len };
	rc = write_vectors(a, a->columns.vectors, a->columns.n_vectors, err);
	if (rc < 0)
		return rc;
	a->stats.batches++;
	a->stats.rows += rows;
	a->stats.copied_bytes += a->columns.copied_bytes;
	return 0;
}

static bool has_begun(const struct zn_arrow *a)
{
	return a->begun && !a->owed;
}

/* The schema, and the empty batches that waited for it. */
static int begin(struct zn_arrow *a, struct zn_err *err)
{
	static const struct zn_batch empty;
	int rc = 0;

	if (!a->begun) {
		zn__arrow_schema(&a->columns, &a->head);
		rc = write_head(a, err);
		a->begun = rc == 0;
	}
	while (rc == 0 && a->owed) {
		rc = zn__columns_lay(&a->columns, &empty, err);
		if (rc == 0)
			rc = write_laid(a, 0, err);
		a->owed -= rc == 0;
	}
	return rc;
}

/* As it was before there were columns. */
static void forget(struct zn_arrow *a)
{
	struct zn__columns none = { .drop_others = a->columns.drop_others, .meta = a->columns.meta };

	zn__columns_done(&a->columns);
	a->columns = none;
}

/* Lays the batch out; the first one makes the columns, unless it is refused. */
static int lay(struct zn_arrow *a, const struct zn_batch *b, struct zn_err *err)
{
	int rc = a->knows ? 0 : zn__columns_learn(&a->columns, b, err);

	if (rc == 0)
		rc = zn__columns_lay(&a->columns, b, err);
	if (rc == 0)
		a->knows = true;
	else if (!a->knows)
		forget(a);
	return rc;
}

static int check_open(const struct zn_arrow *a, struct zn_err *err)
{
	if (a->broken)
		return zn_err_set(err, a->broken, "the stream broke off: %s", strerror(-a->broken));
	return a->ended ? zn_err_set(err, -EINVAL, "the stream has ended") : 0;
}

int zn_arrow_write(struct zn_arrow *a, const struct zn_batch *b, struct zn_err *err)
{
	int rc = check_open(a, err);

	if (rc == 0 && !a->knows && !b->n) {
		a->owed++;
		return 0;
	}
	if (rc == 0)
		rc = lay(a, b, err);
	if (rc == 0 && !has_begun(a)) {
		rc = begin(a, err);
		if (rc == 0) /* which laid out others */
			rc = lay(a, b, err);
	}
	return rc < 0 ? rc : write_laid(a, b->n, err);
}

int zn_arrow_end(struct zn_arrow *a, struct zn_err *err)
{
	int rc = check_open(a, err);

	if (rc == 0 && !has_begun(a))
		rc = begin(a, err);
	if (rc < 0)
		return rc;
	zn__arrow_end(&a->head);
	rc = write_head(a, err);
	a->ended = rc == 0;
	return rc;
}

static int add_fields(struct zn_arrow *a, const struct zn_arrow_opts *opts, struct zn_err *err)
{
	int rc = 0;

	a->columns.drop_others = opts->drop_others;
	a->columns.meta = opts->meta;
	for (uint32_t i = 0; i < opts->n_fields && rc == 0; i++)
		rc = zn__columns_add(&a->columns, opts->fields[i].name, opts->fields[i].shape, err);
	a->knows = opts->n_fields;
	return rc;
}

int zn_arrow_new(int fd, const struct zn_arrow_opts *opts, struct zn_arrow **ret, struct zn_err *err)
{
	struct zn_arrow *a = calloc(1, sizeof(*a));
	int rc;

	if (!a)
		return complain_memory(err);
	a->fd = fd;
	rc = opts ? add_fields(a, opts, err) : 0;
	if (rc < 0)
		zn_arrow_free(a);
	else
		*ret = a;
	return rc;
}

const struct zn_arrow_stats *zn_arrow_stats_get(const struct zn_arrow *a)
{
	return &a->stats;
}

void zn_arrow_free(struct zn_arrow *a)
{
	if (!a)
		return;
	zn__columns_done(&a->columns);
	zn_buf_done(&a->head);
	free(a);
}
