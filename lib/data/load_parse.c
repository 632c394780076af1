/* The samples of a load, whose bytes are in memory: taken apart, in order; what makes no sense is lost. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "data/gather.h"
#include "data/key.h"
#include "data/load.h"
#include "data/tar.h"

/* A sample that is taken apart. */
struct parsing {
	struct zn__loading *g;
	struct zn__load *load;
	struct zn_datum data[ZN__FIELDS_MAX];
	uint32_t n;
	const char *key;
	uint64_t bytes;
	const char *why;               /* it makes no sense */
};

/* ---- one sample ------------------------------------------------------------------------------------------- */

static int add_datum(struct parsing *s, const char *field, size_t field_len, const char *p, size_t n)
{
	if (!zn__is_wanted(s->g->ask, field, field_len))
		return 0;
	if (s->n == ZN__FIELDS_MAX) {
		s->why = "it has more members than a sample may have";
		return 0;
	}
	s->data[s->n] = (struct zn_datum){ .field = zn__names_get(&s->g->names, field, field_len), .p = p, .n = n };
	s->bytes += n;
	return s->data[s->n++].field ? 0 : -ENOMEM;
}

static int take_member(struct parsing *s, const struct zn_tar_head *h, const char *p)
{
	struct zn_key k;

	if (h->kind == ZN_TAR_OTHER || !zn_key_split(h->name, h->name_len, &k)) {
		s->why = "the shard was changed since it was indexed";
		return 0;
	}
	if (!s->key && !(s->key = zn_arena_memdup(&s->load->arena, k.key, k.key_len)))
		return -ENOMEM;
	if (strlen(s->key) != k.key_len || memcmp(s->key, k.key, k.key_len)) {
		s->why = "the shard was changed since it was indexed";
		return 0;
	}
	return add_datum(s, k.field, k.field_len, p, h->size);
}

static int take_piece(struct parsing *s, const struct zn__piece *piece)
{
	uint64_t at = 0;
	int rc = 0;

	while (at < piece->bytes && rc == 0 && !s->why) {
		struct zn_tar_head h;
		const char *why = "the shard was changed since it was indexed";
		size_t need;
		ssize_t heads = zn_tar_head(piece->p + at, piece->bytes - at, &h, &need, &why);
		if (heads <= 0 || h.kind == ZN_TAR_END || h.kind == ZN_TAR_SPARSE || h.size > piece->bytes - at - (uint64_t)heads) {
			s->why = heads < 0 ? why : "the shard was changed since it was indexed";
			return 0;
		}
		rc = take_member(s, &h, piece->p + at + heads);
		at += (uint64_t)heads + zn_tar_padded(h.size);
	}
	return rc;
}

static int take_file(struct parsing *s, const struct zn__piece *piece)
{
	const struct zn__file *f = &piece->source->files[piece->file];

	return add_datum(s, f->field, strlen(f->field), piece->p, piece->bytes);
}

static void decode(struct parsing *s, const struct zn__slot *slot)
{
	const struct zn__load *load = s->load;
	const struct zn_order_ask *order = &s->g->ask->order;

	if (s->why || !load->tensors)
		return;
	uint64_t begun = zn_boot_ns(), random = zn__random_of(order->seed, load->batch.epoch, slot->place.shard, slot->place.sample);
	s->why = zn__decode_sample(s->g->ask, &s->g->hands, s->data, s->n, load->tensors, load->batch.n, load->n_slots, random);
	zn__count(&s->g->stats.decode_ns, zn_boot_ns() - begun);
	s->bytes = 0;
	for (uint32_t i = 0; i < s->n; i++)
		s->bytes += s->data[i].n;
}

/* What it is was said before it was read. */
static int take_record(struct parsing *s, const struct zn__slot *slot, const struct zn__piece *piece)
{
	s->key = zn_arena_printf(&s->load->arena, "%" PRIu64, slot->place.sample);
	int rc = s->key ? add_datum(s, "tokens", 6, piece->p, piece->bytes) : -ENOMEM;
	if (rc == 0 && s->n)
		s->data[0].shape = &piece->source->shape;
	return rc;
}

static int take(struct parsing *s, const struct zn__slot *slot, const struct zn__piece *piece)
{
	switch (piece->source->kind) {
	case ZN_SOURCE_TAR:
		return take_piece(s, piece);
	case ZN_SOURCE_TOKENS:
		return take_record(s, slot, piece);
	default:
		return take_file(s, piece);
	}
}

static int parse(struct parsing *s, const struct zn__slot *slot)
{
	const struct zn_source *source = &s->g->sources->v[slot->place.shard];
	int rc = 0;

	s->n = 0;
	s->bytes = 0;
	s->why = slot->why;
	s->key = source->kind == ZN_SOURCE_FILES ? source->samples[slot->place.sample].key : NULL;
	for (uint32_t i = slot->first_piece; i < slot->first_piece + slot->n_pieces && rc == 0 && !s->why; i++)
		rc = take(s, slot, &s->load->pieces[i]);
	if (!s->why)
		s->why = zn__choose(s->g->ask, s->data, &s->n);
	return rc;
}

/* ---- all of them ------------------------------------------------------------------------------------------ */

int zn__load_lose(struct zn__load *load, const struct zn_source *source, uint64_t offset, const char *key, const char *why)
{
	if (load->n_losses == load->cap_losses) {
		uint32_t cap = load->cap_losses ? 2 * load->cap_losses : 8;
		struct zn_loss *v = reallocarray(load->losses, cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		load->losses = v;
		load->cap_losses = cap;
	}
	load->losses[load->n_losses++] = (struct zn_loss){ load->batch.epoch, source->name, offset, key, why };
	return 0;
}

static uint64_t offset_of(const struct zn_source *s, const struct zn__slot *slot)
{
	struct zn_span first = { 0 };

	if (s->kind == ZN_SOURCE_TOKENS)
		return zn_tokens_offset(&s->tokens, slot->place.sample);
	if (s->kind == ZN_SOURCE_TAR)
		zn_index_spans(&s->index, slot->place.sample, &first, 1);
	return first.offset;
}

/* The key of one that could not be read, if its header can be. */
static const char *key_of(struct zn__load *load, const struct zn_source *s, uint64_t offset)
{
	char block[ZN_TAR_BLOCK];
	struct zn_tar_head h;
	struct zn_key k;
	const char *why;
	size_t need;

	if (s->kind != ZN_SOURCE_TAR || pread(s->fd, block, sizeof(block), (off_t)offset) != sizeof(block) ||
	    zn_tar_head(block, sizeof(block), &h, &need, &why) <= 0 || !zn_key_split(h.name, h.name_len, &k))
		return NULL;
	return zn_arena_memdup(&load->arena, k.key, k.key_len);
}

static int lose(struct parsing *s, const struct zn__slot *slot)
{
	const struct zn_source *source = &s->g->sources->v[slot->place.shard];
	uint64_t offset = offset_of(source, slot);

	return zn__load_lose(s->load, source, offset, s->key ? s->key : key_of(s->load, source, offset), s->why);
}

static int keep(struct parsing *s, struct zn_sample *to)
{
	struct zn_datum *data = zn_arena_room(&s->load->arena, (s->n ? s->n : 1) * sizeof(*data));

	if (!data)
		return -ENOMEM;
	memcpy(data, s->data, s->n * sizeof(*data));
	*to = (struct zn_sample){ s->key, data, s->n };
	return 0;
}

int zn__load_parse(struct zn__loading *g, struct zn__load *load)
{
	struct zn_sample *samples = zn_arena_room(&load->arena, (load->n_slots ? load->n_slots : 1) * sizeof(*samples));
	struct parsing s = { .g = g, .load = load };
	int rc = samples ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < load->n_slots && rc == 0; i++) {
		rc = parse(&s, &load->slots[i]);
		if (rc == 0)
			decode(&s, &load->slots[i]);
		if (rc == 0 && s.why) {
			rc = lose(&s, &load->slots[i]);
		} else if (rc == 0) {
			rc = keep(&s, &samples[load->batch.n++]);
			load->batch.bytes += s.bytes;
		}
	}
	load->batch.samples = samples;
	return rc;
}
