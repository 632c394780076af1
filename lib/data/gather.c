#include "data/gather.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/grow.h"
#include "data/tar.h"

enum { WINDOW = 256 };             /* samples that may still get members */

/* One that may still get members. */
struct zn__open {
	char *key;                     /* NULL: nobody */
	size_t key_len;
	uint64_t number;               /* in the index */
	uint64_t end;                  /* of its last member */
	uint32_t part;                 /* the last; 0: it lies in one piece */
	uint32_t n_fields;
	uint64_t fields[ZN__FIELDS_MAX]; /* hashes of the names; by 32 bits "liquid" would be "costarring" */
	bool is_lost;
	struct zn__suspect *suspect;
	UT_hash_handle hh;
};

struct zn__gap { uint64_t offset; const char *reason; bool is_blamed; };

struct zn__suspect {
	uint64_t number, gap;
	uint32_t n_fields;
	const char *key;
	struct zn__suspect *next;
};

int zn__gather_init(struct zn__gather *g, struct zn_index *x)
{
	*g = (struct zn__gather){ .x = x, .open = calloc(WINDOW, sizeof(*g->open)) };
	x->n_parts = 1;
	return g->open && zn_grow(&x->parts, 1, &g->cap_parts, sizeof(*x->parts)) ? 0 : -ENOMEM;
}

/* ---- the window ------------------------------------------------------------------------------------------- */

static void close_one(struct zn__gather *g, struct zn__open *s)
{
	if (!s->key)
		return;
	if (s->suspect)
		s->suspect->n_fields = s->n_fields;
	else if (!s->is_lost)
		g->with[s->n_fields]++;
	HASH_DEL(g->by_key, s);
	free(s->key);
	s->key = NULL;
}

static struct zn__open *open_one(struct zn__gather *g, const struct zn_key *k, uint64_t offset)
{
	struct zn__open *s = &g->open[g->n_opened % WINDOW];
	struct zn_index *x = g->x;

	close_one(g, s);
	if (!zn_grow(&x->offsets, x->n, &g->cap_offsets, sizeof(*x->offsets)) || !zn_grow(&x->blocks, x->n, &g->cap_blocks, sizeof(*x->blocks)))
		return NULL;
	*s = (struct zn__open){ .key = strndup(k->key, k->key_len), .key_len = k->key_len, .number = x->n, .end = offset };
	if (!s->key)
		return NULL;
	HASH_ADD_KEYPTR(hh, g->by_key, s->key, s->key_len, s);
	g->n_opened++;
	x->offsets[x->n] = offset;
	x->blocks[x->n++] = 0;
	return s;
}

static uint64_t hash_of_field(const struct zn_key *k)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < k->field_len; i++) {
		unsigned char c = (unsigned char)k->field[i];
		h = (h ^ (c >= 'A' && c <= 'Z' ? c + 32u : c)) * UINT64_C(1099511628211);
	}
	return h;
}

static bool can_get(const struct zn__open *s, uint64_t field)
{
	for (uint32_t i = 0; i < s->n_fields; i++)
		if (s->fields[i] == field)
			return false;
	return s->n_fields < ZN__FIELDS_MAX;
}

static bool is_of(const struct zn__open *s, const struct zn_key *k)
{
	return s && s->key && s->key_len == k->key_len && !memcmp(s->key, k->key, k->key_len);
}

/* The sample that a member is of; where that has the field already another one of the same key begins. */
static struct zn__open *sample_of(struct zn__gather *g, const struct zn_key *k, uint64_t field, uint64_t offset)
{
	struct zn__open *s = g->last;

	if (!is_of(s, k))
		HASH_FIND(hh, g->by_key, k->key, k->key_len, s);
	if (s && !can_get(s, field)) {
		close_one(g, s);
		s = NULL;
	}
	return s ? s : open_one(g, k, offset);
}

/* ---- where it lies ---------------------------------------------------------------------------------------- */

static int add_part(struct zn__gather *g, struct zn__open *s, uint64_t offset, uint32_t blocks)
{
	struct zn_index *x = g->x;

	if (x->n_parts >= ZN__BLOCKS_MAX || !zn_grow(&x->parts, x->n_parts, &g->cap_parts, sizeof(*x->parts)))
		return -ENOMEM;
	if (s->part)
		x->parts[s->part].more = (uint32_t)x->n_parts;
	else
		x->blocks[s->number] = ZN__IS_PARTS | (uint32_t)x->n_parts;
	s->part = (uint32_t)x->n_parts;
	x->parts[x->n_parts++] = (struct zn__part){ offset, blocks, 0 };
	return 0;
}

static int add_span(struct zn__gather *g, struct zn__open *s, uint64_t offset, uint64_t bytes)
{
	struct zn_index *x = g->x;
	uint32_t n = (uint32_t)((bytes + ZN_TAR_BLOCK - 1) / ZN_TAR_BLOCK), *last = s->part ? &x->parts[s->part].blocks : &x->blocks[s->number];
	uint64_t end = s->end;
	int rc = 0;

	s->end = offset + bytes;
	if (end == offset) {
		*last += n;
		return 0;
	}
	if (!s->part)
		rc = add_part(g, s, x->offsets[s->number], *last);
	return rc < 0 ? rc : add_part(g, s, offset, n);
}

static uint64_t blocks_of(const struct zn__gather *g, const struct zn__open *s)
{
	return s->part ? g->x->parts[s->part].blocks : g->x->blocks[s->number];
}

/* ---- what is lost ----------------------------------------------------------------------------------------- */

static int add_flaw(struct zn__gather *g, uint64_t offset, const char *key, const char *reason)
{
	struct zn_index *x = g->x;

	if (!zn_grow(&x->flaws, x->n_flaws, &g->cap_flaws, sizeof(*x->flaws)))
		return -ENOMEM;
	x->flaws[x->n_flaws++] = (struct zn_flaw){ offset, key, reason };
	return 0;
}

static int lose(struct zn__gather *g, struct zn__open *s, uint64_t offset, const char *reason)
{
	char *key = zn_arena_memdup(&g->x->arena, s->key, s->key_len);

	g->x->blocks[s->number] = 0;   /* who has none is taken out at the end */
	s->is_lost = true;
	return key ? add_flaw(g, offset, key, reason) : -ENOMEM;
}

static int suspect(struct zn__gather *g, struct zn__open *s)
{
	struct zn__suspect *u = s->is_lost || s->suspect ? NULL : malloc(sizeof(*u));

	if (s->is_lost || s->suspect)
		return 0;
	if (!u)
		return -ENOMEM;
	*u = (struct zn__suspect){ .number = s->number, .gap = g->n_gaps - 1, .next = g->suspects,
	                           .key = zn_arena_memdup(&g->x->arena, s->key, s->key_len) };
	s->suspect = g->suspects = u;
	return u->key ? 0 : -ENOMEM;
}

int zn__gather_gap(struct zn__gather *g, uint64_t offset, const char *reason)
{
	if (!zn_grow(&g->gaps, g->n_gaps, &g->cap_gaps, sizeof(*g->gaps)))
		return -ENOMEM;
	g->gaps[g->n_gaps++] = (struct zn__gap){ offset, reason, false };
	g->in_gap = true;
	return g->last && g->last->key && g->last->end == offset ? suspect(g, g->last) : 0;
}

void zn__gather_other(struct zn__gather *g)
{
	g->x->n_other++;
	g->in_gap = false;
	g->last = NULL;
}

int zn__gather_member(struct zn__gather *g, const struct zn_key *k, uint64_t offset, uint64_t bytes, const char *why)
{
	uint64_t field = hash_of_field(k);
	struct zn__open *s = sample_of(g, k, field, offset);

	if (!s)
		return -ENOMEM;
	bool beside = g->in_gap;
	g->in_gap = false;
	g->last = s;
	if (s->is_lost)
		return 0;
	if (!why && blocks_of(g, s) + bytes / ZN_TAR_BLOCK >= ZN__BLOCKS_MAX)
		why = "it is larger than 1 TiB";
	if (why)
		return lose(g, s, offset, why);
	int rc = beside ? suspect(g, s) : 0;
	s->fields[s->n_fields++] = field;
	return rc < 0 ? rc : add_span(g, s, offset, bytes);
}

/* ---- the end ---------------------------------------------------------------------------------------------- */

uint32_t zn__usual_fields(const uint64_t with[ZN__FIELDS_MAX + 1])
{
	uint32_t best = 0;

	for (uint32_t i = 1; i <= ZN__FIELDS_MAX; i++)
		if (with[i] && with[i] >= with[best])
			best = i;
	return best;
}

/* How many a sample beside damage has to have; where all lie beside damage, as many as any of them. */
static uint32_t least_fields(const struct zn__gather *g)
{
	uint32_t least = zn__usual_fields(g->with);

	if (least)
		return least;
	for (const struct zn__suspect *u = g->suspects; u; u = u->next)
		least = u->n_fields > least ? u->n_fields : least;
	return least;
}

static int judge(struct zn__gather *g)
{
	uint32_t least = least_fields(g);
	int rc = 0;

	for (struct zn__suspect *u = g->suspects; u && rc == 0; u = u->next) {
		struct zn__gap *gap = &g->gaps[u->gap];
		if (u->n_fields >= least || !g->x->blocks[u->number])
			continue;
		g->x->blocks[u->number] = 0;
		gap->is_blamed = true;
		rc = add_flaw(g, gap->offset, u->key, gap->reason);
	}
	for (uint64_t i = 0; i < g->n_gaps && rc == 0; i++)
		if (!g->gaps[i].is_blamed)
			rc = add_flaw(g, g->gaps[i].offset, NULL, g->gaps[i].reason);
	return rc;
}

static void take_out_lost(struct zn_index *x)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < x->n; i++) {
		if (!x->blocks[i])
			continue;
		x->offsets[n] = x->offsets[i];
		x->blocks[n++] = x->blocks[i];
	}
	x->n = n;
}

static int by_offset(const void *a, const void *b)
{
	const struct zn_flaw *x = a, *y = b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

int zn__gather_end(struct zn__gather *g)
{
	for (size_t i = 0; i < WINDOW; i++)
		close_one(g, &g->open[i]);
	int rc = judge(g);
	take_out_lost(g->x);
	if (g->x->n_flaws)
		qsort(g->x->flaws, g->x->n_flaws, sizeof(*g->x->flaws), by_offset);
	return rc;
}

void zn__gather_done(struct zn__gather *g)
{
	for (size_t i = 0; g->open && i < WINDOW; i++)
		close_one(g, &g->open[i]);
	for (struct zn__suspect *u = g->suspects, *next; u; u = next) {
		next = u->next;
		free(u);
	}
	free(g->open);
	free(g->gaps);
}
