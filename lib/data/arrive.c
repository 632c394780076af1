#include "data/arrive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/gather.h"

/* ---- memory of a sample ----------------------------------------------------------------------------------- */

static void drop_bytes(struct zn__arrive *a, struct zn__held *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		struct zn__slice *p = &s->parts[i];
		free(p->p);
		s->bytes -= p->cap;
		a->used_bytes -= p->cap;
		p->p = NULL;
		p->n = p->cap = 0;
	}
}

void zn__held_free(struct zn__arrive *a, struct zn__held *s)
{
	if (!s)
		return;
	drop_bytes(a, s);
	a->used_bytes -= s->bytes;
	free(s->parts);
	free(s->key);
	free(s->why);
	free(s);
}

/* The first reason is the one that is told. */
static int doom(struct zn__arrive *a, struct zn__held *s, const char *why)
{
	if (!s->why && !(s->why = strdup(why)))
		return -ENOMEM;
	drop_bytes(a, s);
	return 0;
}

static bool is_filled(const struct zn__held *s, const struct zn__slice *p)
{
	return s->is_kept && p->is_wanted && !s->why;
}

/* Room for cap bytes of a part; where the sample is larger than all memory it is lost instead.  -E2BIG: others hold it. */
static int make_room(struct zn__arrive *a, struct zn__held *s, struct zn__slice *p, uint64_t cap)
{
	uint64_t most = a->ask->memory_bytes, others = a->used_bytes - p->cap;

	if (p->p && cap <= p->cap)
		return 0;
	if (cap > most || s->bytes - p->cap > most - cap)
		return doom(a, s, "it is larger than the memory that was allowed");
	if (others > most - cap)
		return -E2BIG;
	char *more = realloc(p->p, cap ? cap : 1);
	if (!more)
		return -ENOMEM;
	p->p = more;
	a->used_bytes += cap - p->cap;
	s->bytes += cap - p->cap;
	p->cap = cap;
	return 0;
}

/* Where a size was not known a part grows by halves, as far as there is memory. */
static int grow(struct zn__arrive *a, struct zn__held *s, struct zn__slice *p, uint64_t end)
{
	uint64_t most = a->ask->memory_bytes, others = a->used_bytes - p->cap;
	bool fits = end < most / 2 && others <= most - (end + end / 2);

	return p->p && end <= p->cap ? 0 : make_room(a, s, p, fits && p->p ? end + end / 2 : end);
}

/* Bytes at a place of a part; what was skipped before it is zero. */
static int put(struct zn__arrive *a, struct zn__held *s, struct zn__slice *p, const void *from, size_t n, uint64_t at)
{
	uint64_t end;
	int rc = __builtin_add_overflow(at, n, &end) ? doom(a, s, "it is larger than a file may be") : 0;

	if (rc == 0 && is_filled(s, p))
		rc = grow(a, s, p, end);
	if (rc < 0 || !is_filled(s, p))
		return rc;
	if (at > p->n)
		memset(p->p + p->n, 0, at - p->n);
	if (n)
		memcpy(p->p + at, from, n);
	p->n = end > p->n ? end : p->n;
	return 0;
}

static int begin(struct zn__arrive *a, const char *key, size_t n, uint64_t offset, bool is_kept, struct zn__held **ret)
{
	uint64_t bytes = sizeof(**ret) + n;

	if (a->used_bytes > a->ask->memory_bytes || bytes > a->ask->memory_bytes - a->used_bytes)
		return -E2BIG;
	struct zn__held *s = calloc(1, sizeof(*s));
	if (s && !(s->key = strndup(key, n))) {
		free(s);
		s = NULL;
	}
	if (!s)
		return -ENOMEM;
	s->source = a->source;
	s->offset = offset;
	s->is_kept = is_kept;
	s->is_beside = a->is_carried;
	s->bytes = bytes;
	a->used_bytes += bytes;
	*ret = s;
	return 0;
}

static int add_part(struct zn__arrive *a, struct zn__held *s, const char *field, size_t n, struct zn__slice **ret)
{
	if (s->n == s->cap) {
		uint32_t cap = s->cap ? 2 * s->cap : 2;
		struct zn__slice *v = reallocarray(s->parts, cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		s->parts = v;
		s->cap = cap;
	}
	struct zn__slice *p = &s->parts[s->n];
	*p = (struct zn__slice){ .field = zn__names_get(&a->names, field, n), .is_wanted = zn__is_wanted(a->ask, field, n) };
	if (!p->field)
		return -ENOMEM;
	s->n++;
	*ret = p;
	return 0;
}

/* ---- members ---------------------------------------------------------------------------------------------- */

/* All that is damaged up to the next member is told once. */
static int note_damage(struct zn__arrive *a, const char *why)
{
	bool is_first = !a->in_damage;

	a->in_damage = a->is_damaged = true;
	return is_first ? a->lose(a->arg, a->source, a->member.offset, NULL, why) : 0;
}

/* Stands before the next member that is of a sample: 1; 0: the source has ended; -errno. */
static int peek(struct zn__arrive *a)
{
	while (!a->has_member) {
		int rc = zn__unpack_next(a->unpack, &a->member);
		if (rc <= ZN__UNPACKED_END)
			return rc;
		bool is_one = rc == ZN__UNPACKED_ONE && a->member.name, is_lost = rc == ZN__UNPACKED_LOST;
		if (is_one)
			a->in_damage = false;
		a->has_member = is_one && a->member.is_file && zn_key_split(a->member.name, strlen(a->member.name), &a->key);
		rc = is_one ? 0 : note_damage(a, rc == ZN__UNPACKED_ONE ? "its name makes no sense" : zn__unpack_why(a->unpack));
		if (rc < 0 || is_lost)
			return rc;
	}
	return 1;
}

static int read_member(struct zn__arrive *a, struct zn__held *s, struct zn__slice *p)
{
	int rc = is_filled(s, p) ? make_room(a, s, p, a->member.size) : 0, got = ZN__UNPACKED_ONE;
	const void *from;
	uint64_t at;
	size_t n;

	while (rc == 0 && (got = zn__unpack_read(a->unpack, &from, &n, &at)) == ZN__UNPACKED_ONE)
		rc = put(a, s, p, from, n, at);
	if (rc < 0 || got < 0)
		return rc < 0 ? rc : got;
	if (got != ZN__UNPACKED_END)
		return doom(a, s, zn__unpack_why(a->unpack));
	return p->n < a->member.size ? put(a, s, p, NULL, 0, a->member.size) : 0; /* it ends with a hole */
}

static bool belongs(struct zn__arrive *a, const struct zn__held *s)
{
	const char *field = zn__names_get(&a->names, a->key.field, a->key.field_len); /* NULL is found again by who adds it */

	for (uint32_t i = 0; i < s->n; i++)
		if (s->parts[i].field == field)
			return false;
	return s->n < ZN__FIELDS_MAX && strlen(s->key) == a->key.key_len && !memcmp(s->key, a->key.key, a->key.key_len);
}

static int take(struct zn__arrive *a, bool is_kept, struct zn__held **s)
{
	struct zn__slice *p;
	int rc = *s ? 0 : begin(a, a->key.key, a->key.key_len, a->member.offset, is_kept, s);

	if (rc == 0)
		rc = add_part(a, *s, a->key.field, a->key.field_len, &p);
	a->has_member = a->is_carried = false;
	return rc < 0 ? rc : read_member(a, *s, p);
}

static void spread_damage(struct zn__arrive *a, struct zn__held *s)
{
	if (a->is_damaged && s)
		s->is_beside = true;
	a->is_carried |= a->is_damaged;
	a->is_damaged = false;
}

/* A sample beside damage is whole when it has as many members as others have. */
static int judge(struct zn__arrive *a, struct zn__held *s)
{
	if (s->is_beside && (!a->usual || s->n < a->usual))
		return doom(a, s, "it lies beside something damaged, which may be a member of it");
	if (!s->is_beside)
		a->usual = s->n;
	return 0;
}

/* 1, 0: the source has ended; -errno. */
static int next_of_archive(struct zn__arrive *a, bool is_kept, struct zn__held **s)
{
	int rc;

	while ((rc = peek(a)) > 0) {
		spread_damage(a, *s);
		if (*s && !belongs(a, *s))
			break;
		rc = take(a, is_kept, s);
		if (rc < 0)
			return rc;
	}
	if (rc < 0)
		return rc;
	spread_damage(a, *s);
	rc = *s ? judge(a, *s) : 0;
	return rc < 0 ? rc : *s != NULL;
}

/* ---- files ------------------------------------------------------------------------------------------------ */

static int read_file(struct zn__arrive *a, struct zn__held *s, struct zn__slice *p, const struct zn__file *f)
{
	int rc = make_room(a, s, p, f->size), fd = rc == 0 && !s->why ? open(f->path, O_RDONLY | O_CLOEXEC) : -1;

	if (rc < 0 || s->why)
		return rc;
	if (fd < 0)
		return doom(a, s, strerrordesc_np(errno));
	while (p->n < f->size && rc == 0) {
		ssize_t n = read(fd, p->p + p->n, f->size - p->n);
		p->n += n > 0 ? (size_t)n : 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			rc = doom(a, s, n < 0 ? strerrordesc_np(errno) : "the file has become shorter");
		if (n <= 0)
			break;
	}
	close(fd);
	a->stats.read_bytes += p->n;
	return rc;
}

static int next_of_files(struct zn__arrive *a, bool is_kept, struct zn__held **s)
{
	const struct zn_source *from = a->source;

	if (a->file == from->n)
		return 0;
	const struct zn__files *files = &from->samples[a->file++];
	int rc = begin(a, files->key, strlen(files->key), 0, is_kept, s);
	for (uint32_t i = files->first; i < files->first + files->n && rc == 0; i++) {
		const struct zn__file *f = &from->files[i];
		struct zn__slice *p;
		rc = add_part(a, *s, f->field, strlen(f->field), &p);
		if (rc == 0 && is_filled(*s, p))
			rc = read_file(a, *s, p, f);
	}
	return rc < 0 ? rc : 1;
}

/* ---- sources ---------------------------------------------------------------------------------------------- */

static void count(struct zn__arrive *a)
{
	if (!a->unpack)
		return;
	a->stats.read_bytes += zn__unpack_read_bytes(a->unpack);
	a->stats.wait_ns += zn__unpack_wait_ns(a->unpack);
}

static void leave(struct zn__arrive *a)
{
	count(a);
	zn__unpack_free(a->unpack);
	a->unpack = NULL;
	a->source = NULL;
	a->has_member = a->in_damage = a->is_damaged = a->is_carried = false;
	a->usual = 0;
	a->file = 0;
}

void zn__arrive_begin(struct zn__arrive *a, uint64_t epoch)
{
	leave(a);
	a->epoch = epoch;
	a->turn = 0;
}

static int tell_flaws(struct zn__arrive *a)
{
	int rc = 0;

	for (uint64_t i = 0; i < a->source->n_flaws && rc == 0; i++)
		rc = a->lose(a->arg, a->source, a->source->flaws[i].offset, a->source->flaws[i].key, a->source->flaws[i].reason);
	return rc;
}

/* Onto the next source: 1; 0: there is none; -errno. */
static int enter(struct zn__arrive *a, struct zn_err *err)
{
	struct zn_mix mix = zn_mix_make(a->sources->n, zn__order_key(&a->ask->order, a->epoch, UINT64_MAX));

	if (a->turn == a->sources->n)
		return 0;
	const struct zn_source *s = &a->sources->v[a->ask->order.window > 1 ? zn_mix_at(&mix, a->turn) : a->turn];
	int rc = s->kind == ZN_SOURCE_FILES ? 0 : zn__unpack_open(s->name, &a->unpack, err);
	if (rc < 0)
		return rc;
	a->turn++;
	a->source = s;
	rc = tell_flaws(a);
	return rc < 0 ? rc : 1;
}

static int next(struct zn__arrive *a, bool is_kept, struct zn__held **s, struct zn_err *err)
{
	int rc = 0;

	while (rc == 0 && (rc = a->source ? 1 : enter(a, err)) > 0) {
		rc = a->source->kind == ZN_SOURCE_FILES ? next_of_files(a, is_kept, s) : next_of_archive(a, is_kept, s);
		if (rc == 0)
			leave(a);
		else
			break;
	}
	return rc;
}

int zn__arrive_next(struct zn__arrive *a, bool is_kept, struct zn__held **ret, struct zn_err *err)
{
	struct zn__held *s = NULL;
	int rc = next(a, is_kept, &s, err);

	if (rc > 0)
		*ret = s;
	else
		zn__held_free(a, s);
	return rc;
}

void zn__arrive_done(struct zn__arrive *a)
{
	leave(a);
	zn__names_done(&a->names);
}
