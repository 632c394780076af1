#include "data/load_decode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

enum { ALIGNED = 64 };

int zn__hands_make(const struct zn_loader_ask *ask, struct zn__hands *ret)
{
	struct zn__hands h = { .v = calloc(ask->n_decoders ? ask->n_decoders : 1, sizeof(*h.v)) };
	int rc = h.v ? 0 : -ENOMEM;

	for (; rc == 0 && h.n < ask->n_decoders; h.n++)
		if ((rc = zn_decoder_hand_new(ask->decoders[h.n], &h.v[h.n])) < 0)
			break;
	if (rc < 0)
		zn__hands_done(ask, &h);
	else
		*ret = h;
	return rc;
}

void zn__hands_done(const struct zn_loader_ask *ask, struct zn__hands *h)
{
	for (uint32_t i = 0; i < h->n; i++)
		zn_decoder_hand_free(ask->decoders[i], h->v[i]);
	free(h->v);
	*h = (struct zn__hands){ .n = 0 };
}

/* Where the tensor of a decoder begins. */
static size_t tensor_at(const struct zn_loader_ask *ask, uint32_t decoder, uint32_t n)
{
	size_t at = 0, bytes;

	for (uint32_t i = 0; i < decoder; i++) {
		if (__builtin_mul_overflow(ask->decoders[i]->bytes, n, &bytes) || bytes > SIZE_MAX / 2 - at)
			return SIZE_MAX;
		at += (bytes + ALIGNED - 1) / ALIGNED * ALIGNED;
	}
	return at;
}

size_t zn__tensors_bytes(const struct zn_loader_ask *ask, uint32_t n)
{
	return tensor_at(ask, ask->n_decoders, n);
}

static struct zn_datum *find(struct zn_datum *data, uint32_t n, const char *field)
{
	for (uint32_t i = 0; i < n; i++)
		if (!strcasecmp(data[i].field, field))
			return &data[i];
	return NULL;
}

const char *zn__decode_sample(const struct zn_loader_ask *ask, struct zn__hands *hands, struct zn_datum *data, uint32_t n_data, char *tensors,
                              uint32_t i, uint32_t n, uint64_t random)
{
	for (uint32_t k = 0; k < ask->n_decoders; k++) {
		const struct zn_decoder *d = ask->decoders[k];
		struct zn_datum *from = find(data, n_data, d->field);
		char *out = tensors + tensor_at(ask, k, n) + d->bytes * i;
		const char *why = "it lacks a field that is to be decoded";
		if (!from || zn_decoder_run(d, hands->v[k], from->p, from->n, random, out, &why) < 0)
			return why;
		from->p = out;
		from->n = d->bytes;
		from->shape = &d->shape;
	}
	return NULL;
}

uint64_t zn__random_of(uint64_t seed, uint64_t epoch, uint32_t shard, uint64_t sample)
{
	uint64_t state = seed, mixed = zn_random(&state);

	state = mixed ^ epoch;
	mixed = zn_random(&state);
	state = mixed ^ (sample + ((uint64_t)shard << 40));
	return zn_random(&state);
}

const char *zn__learn_shapes(const struct zn_loader_ask *ask, const struct zn_sample *s, uint32_t *ret_left)
{
	const char *why = NULL;

	*ret_left = 0;
	for (uint32_t k = 0; k < ask->n_decoders; k++) {
		struct zn_decoder *d = ask->decoders[k];
		struct zn_datum *from = find((struct zn_datum *)s->data, s->n, d->field);
		const char *no = "no sample of the first batch has that field";
		if (d->has_shape || (from && zn_decoder_learn(d, from->p, from->n, &no) == 0))
			continue;
		why = no;
		++*ret_left;
	}
	return why;
}
