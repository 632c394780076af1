#include "rec/sift.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rec/expr.h"

struct item {
	char *p;                /* the record; key points into it */
	size_t n, seq;
	enum { RANK_NUMBER, RANK_BOOL, RANK_TEXT, RANK_OTHER, RANK_NONE } rank;
	long double number;
	const char *text;
	size_t text_len;
	bool descending;
};

struct zn_sift {
	struct zn_sift_opts o;
	struct zn_expr *where;
	uint64_t passed;        /* records that went on */
	struct item *items;     /* records that wait; with a tail and no sort a ring of o.tail */
	size_t n, room;
	uint64_t seen;
	struct zn_arena scratch;
};

int zn_sift_new(const struct zn_sift_opts *opts, struct zn_sift **ret, struct zn_err *err)
{
	struct zn_sift *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->o = *opts;
	int rc = opts->where ? zn_expr_parse(opts->where, &s->where, err) : 0;
	if (rc < 0) {
		zn_sift_free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

void zn_sift_free(struct zn_sift *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		free(s->items[i].p);
	free(s->items);
	zn_expr_free(s->where);
	zn_arena_done(&s->scratch);
	free(s);
}

static bool must_wait(const struct zn_sift *s)
{
	return s->o.sort || s->o.has_tail;
}

static bool is_enough(const struct zn_sift *s)
{
	return s->o.has_head && !s->o.sort && s->passed >= s->o.head;
}

/* ---- records that wait ------------------------------------------------------------------------ */

/* What a record is sorted by; text points into p. */
static int find_key(struct zn_sift *s, struct item *it)
{
	const char *path = s->o.sort;
	msgpack_object map;

	it->rank = RANK_NONE;
	if (!path)
		return 0;
	it->descending = *path == '-';
	int rc = zn_val_unpack(it->p, it->n, 0, &s->scratch, &map, NULL);
	const msgpack_object *v = rc == 0 ? zn_val_path(&map, path + it->descending, &s->scratch) : NULL;
	if (!v || v->type == MSGPACK_OBJECT_NIL)
		return rc;
	if (zn_val_number(v, &it->number)) {
		it->rank = RANK_NUMBER;
	} else if (v->type == MSGPACK_OBJECT_BOOLEAN) {
		it->rank = RANK_BOOL;
		it->number = v->via.boolean;
	} else if (v->type == MSGPACK_OBJECT_STR) {
		it->rank = RANK_TEXT;
		it->text = v->via.str.ptr;
		it->text_len = v->via.str.size;
	} else {
		it->rank = RANK_OTHER;
	}
	return 0;
}

static int item_make(struct zn_sift *s, const struct zn_rec *rec, struct item *ret)
{
	struct item it = { .p = malloc(rec->n), .n = rec->n, .seq = s->seen };

	if (!it.p)
		return -ENOMEM;
	memcpy(it.p, rec->p, rec->n);
	int rc = find_key(s, &it);
	if (rc < 0)
		free(it.p);
	else
		*ret = it;
	return rc;
}

static int make_room(struct zn_sift *s)
{
	if (s->n < s->room)
		return 0;
	size_t room = s->room ? s->room * 2 : 64;
	struct item *more = reallocarray(s->items, room, sizeof(*more));
	if (!more)
		return -ENOMEM;
	s->items = more;
	s->room = room;
	return 0;
}

static int keep(struct zn_sift *s, const struct zn_rec *rec)
{
	bool ring = s->o.has_tail && !s->o.sort && s->n >= s->o.tail;
	struct item it;

	if (ring && !s->o.tail)
		return 0;
	int rc = item_make(s, rec, &it);
	if (rc == 0 && !ring && make_room(s) < 0) {
		free(it.p);
		rc = -ENOMEM;
	}
	if (rc < 0)
		return rc;
	size_t at = ring ? s->seen % s->o.tail : s->n++;
	if (ring)
		free(s->items[at].p);
	s->items[at] = it;
	s->seen++;
	return 0;
}

static int by_text(const struct item *a, const struct item *b)
{
	size_t least = a->text_len < b->text_len ? a->text_len : b->text_len;
	int o = least ? memcmp(a->text, b->text, least) : 0;

	return o ? o : (a->text_len > b->text_len) - (a->text_len < b->text_len);
}

static int by_key(const void *x, const void *y)
{
	const struct item *a = x, *b = y;
	int o = 0;

	if ((a->rank == RANK_NONE) != (b->rank == RANK_NONE))
		return a->rank == RANK_NONE ? 1 : -1;
	if (a->rank != b->rank)
		o = a->rank < b->rank ? -1 : 1;
	else if (a->rank == RANK_TEXT)
		o = by_text(a, b);
	else if (a->rank == RANK_NUMBER || a->rank == RANK_BOOL)
		o = (a->number > b->number) - (a->number < b->number);
	if (o)
		return a->descending ? -o : o;
	return (a->seq > b->seq) - (a->seq < b->seq);
}

/* ----------------------------------------------------------------------------------------------- */

/* 1 when the record goes on at once, 0 when it is held or dropped. */
static int judge(struct zn_sift *s, const struct zn_rec *rec)
{
	zn_arena_reset(&s->scratch);
	int rc = s->where ? zn_expr_match(s->where, &rec->map, &s->scratch) : 1;
	return rc > 0 && must_wait(s) ? keep(s, rec) : rc;
}

int zn_sift_run(struct zn_sift *s, struct zn_reader *r, struct zn_writer *w, struct zn_err *err)
{
	struct zn_rec rec;

	while (!is_enough(s)) {
		int rc = zn_reader_next(r, &rec, err);
		if (rc <= 0)
			return rc;
		rc = judge(s, &rec);
		if (rc < 0)
			return zn_err_set(err, rc, "can't hold a record: %s", strerror(-rc));
		s->passed += (uint64_t)rc;
		if (rc > 0)
			rc = zn_writer_put_val(w, s->o.kinds, &rec.map);
		if (rc == 0 && !zn_reader_has_buffered(r))
			rc = zn_writer_flush(w);
		if (rc < 0)
			return rc;
	}
	return 1;
}

static int emit(struct zn_sift *s, const struct item *it, struct zn_writer *w)
{
	msgpack_object map;

	zn_arena_reset(&s->scratch);
	int rc = zn_val_unpack(it->p, it->n, 0, &s->scratch, &map, NULL);
	return rc < 0 ? rc : zn_writer_put_val(w, s->o.kinds, &map);
}

int zn_sift_end(struct zn_sift *s, struct zn_writer *w)
{
	size_t from = 0, to = s->n;
	int rc = 0;

	if (s->n) /* a ring, too, comes back into order: by_key falls back on seq */
		qsort(s->items, s->n, sizeof(*s->items), by_key);
	if (s->o.has_head && s->o.head < to)
		to = (size_t)s->o.head;
	if (s->o.has_tail && s->o.tail < to)
		from = to - (size_t)s->o.tail;
	for (size_t i = from; i < to && rc == 0; i++)
		rc = emit(s, &s->items[i], w);
	return rc;
}
