#include "data/arrive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SAY_USUAL = 8 };            /* samples beside no damage */

/* ---- memory of a sample ----------------------------------------------------------------------------------- */

/* Without telling it. */
static void drop_damage(struct zn__damage *d)
{
	if (!d || --d->refs)
		return;
	free(d->why);
	free(d);
}

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
	drop_damage(s->damage);
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

/* It is told alone once no sample is left that it may have been a member of. */
static int put_damage(struct zn__arrive *a, struct zn__damage **at)
{
	struct zn__damage *d = *at;
	int rc = d && d->refs == 1 && !d->is_blamed ? a->lose(a->arg, a->source, d->offset, NULL, d->why) : 0;

	*at = NULL;
	drop_damage(d);
	return rc;
}

static void set_beside(struct zn__held *s, struct zn__damage *d)
{
	if (s->why || s->damage)
		return;
	s->damage = d;
	d->refs++;
}

static int note_damage(struct zn__arrive *a, const char *why)
{
	int rc = put_damage(a, &a->damage);
	struct zn__damage *d = rc == 0 ? calloc(1, sizeof(*d)) : NULL;

	if (rc < 0)
		return rc;
	if (!d || !(d->why = strdup(why))) {
		free(d);
		return -ENOMEM;
	}
	d->offset = a->member.offset;
	d->refs = 1;
	a->damage = d;
	if (a->is_next)
		set_beside(a->open, d);
	a->is_next = false;
	return 0;
}

/* What lies here is of no sample. */
static int pass_other(struct zn__arrive *a)
{
	a->is_next = false;
	return put_damage(a, &a->damage);
}

/* Stands before the next member that is of a sample: 1; 0: the source has ended; -errno. */
static int peek(struct zn__arrive *a)
{
	while (!a->has_member && !a->is_over) {
		const struct zn__member *m = &a->member;
		int rc = zn__unpack_next(a->unpack, &a->member);
		if (rc < 0)
			return rc;
		a->is_over = rc == ZN__UNPACKED_END || rc == ZN__UNPACKED_LOST;
		bool is_one = rc == ZN__UNPACKED_ONE && m->name;
		a->has_member = is_one && m->is_file && zn_key_split(m->name, m->name_len, &a->key);
		if (a->has_member)
			rc = 0;
		else if (is_one)
			rc = pass_other(a);
		else if (rc != ZN__UNPACKED_END)
			rc = note_damage(a, rc == ZN__UNPACKED_ONE ? "its name makes no sense" : zn__unpack_why(a->unpack));
		if (rc < 0)
			return rc;
	}
	return a->has_member;
}

/* A member that can't be read costs its sample. */
static int lose_member(struct zn__arrive *a, struct zn__held *s, const char *why)
{
	if (!s->why)
		s->offset = a->member.offset;
	return doom(a, s, why);
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
		return lose_member(a, s, zn__unpack_why(a->unpack));
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

static int take(struct zn__arrive *a, bool is_kept)
{
	struct zn__slice *p;
	int rc = a->open ? 0 : begin(a, a->key.key, a->key.key_len, a->member.offset, is_kept, &a->open);

	if (rc == 0)
		rc = add_part(a, a->open, a->key.field, a->key.field_len, &p);
	if (rc < 0)
		return rc;
	if (a->damage)
		set_beside(a->open, a->damage);
	a->has_member = false;
	a->is_next = true;
	rc = put_damage(a, &a->damage);
	return rc < 0 ? rc : read_member(a, a->open, p);
}

/* The next sample that is complete is the last that waits; or the source is over. */
static int gather(struct zn__arrive *a, bool is_kept)
{
	int rc;

	while ((rc = peek(a)) > 0) {
		if (a->open && !belongs(a, a->open))
			break;
		rc = take(a, is_kept);
		if (rc < 0)
			return rc;
	}
	if (rc == 0)
		rc = put_damage(a, &a->damage);
	if (rc < 0 || !a->open)
		return rc;
	if (a->open->n > a->most)
		a->most = a->open->n;
	if (!a->open->damage && !a->open->why) {
		a->with[a->open->n]++;
		a->n_whole++;
	}
	a->waiting[a->n_waiting++] = a->open;
	a->open = NULL;
	a->is_next = false;
	return 0;
}

/* ---- what lies beside damage ------------------------------------------------------------------------------ */

/* So many samples are seen first as say what is usual; where memory is short, or the source over, those that there are. */
static bool can_judge(const struct zn__arrive *a)
{
	return a->n_whole >= SAY_USUAL || a->is_over || a->n_waiting == ZN__WAITING_MAX || a->used_bytes > a->ask->memory_bytes / 2;
}

/* How many members a sample beside damage has to have. */
static uint32_t least_members(const struct zn__arrive *a)
{
	uint32_t usual = zn__usual_fields(a->with);

	if (usual)
		return usual;
	return a->is_over || a->n_waiting == ZN__WAITING_MAX ? a->most : UINT32_MAX;
}

static int judge(struct zn__arrive *a, struct zn__held *s)
{
	struct zn__damage *d = s->damage;

	if (d && !s->why && s->n < least_members(a)) {
		s->offset = d->offset;
		d->is_blamed = true;
		if (doom(a, s, d->why) < 0)
			return -ENOMEM;
	}
	return put_damage(a, &s->damage);
}

static struct zn__held *first_waiting(struct zn__arrive *a)
{
	struct zn__held *s = a->waiting[0];

	memmove(a->waiting, a->waiting + 1, --a->n_waiting * sizeof(struct zn__held *));
	return s;
}

static bool is_settled(const struct zn__arrive *a)
{
	return a->n_waiting && (!a->waiting[0]->damage || can_judge(a));
}

/* 1, 0: the source has ended; -errno.  Of what has to be read before this one is judged nobody knows yet whether it is wanted. */
static int next_of_archive(struct zn__arrive *a, bool is_kept, struct zn__held **s)
{
	int rc = 0;

	while (rc == 0 && !a->is_over && !is_settled(a))
		rc = gather(a, is_kept || a->n_waiting);
	if (rc < 0 || !a->n_waiting)
		return rc;
	rc = judge(a, a->waiting[0]);
	if (rc < 0)
		return rc;
	*s = first_waiting(a);
	return 1;
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
	zn__held_free(a, a->open);
	for (unsigned i = 0; i < a->n_waiting; i++)
		zn__held_free(a, a->waiting[i]);
	drop_damage(a->damage);
	a->open = NULL;
	a->damage = NULL;
	a->n_waiting = 0;
	a->has_member = a->is_over = a->is_next = false;
	memset(a->with, 0, sizeof(a->with));
	a->most = 0;
	a->n_whole = 0;
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
