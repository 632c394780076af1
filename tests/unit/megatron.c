#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/random.h"
#include "data/megatron.h"
#include "data/tokens.h"
#include "tap.h"

/* An index as IndexedDatasetBuilder writes it, of any numbers at all. */
struct idx { unsigned char p[512]; size_t n; };

static void add(struct idx *x, const void *p, size_t n)
{
	memcpy(x->p + x->n, p, n);
	x->n += n;
}

static void add_u64(struct idx *x, uint64_t v)
{
	add(x, &v, sizeof(v));
}

struct made { uint8_t code; uint64_t version, sequences, entries; int32_t lengths[4]; int64_t pointers[4], documents[4]; };

static const struct made plain = { 8, 1, 3, 3, { 5, 0, 7 }, { 0, 10, 10 }, { 0, 1, 3 } };

static struct idx make(const struct made *m)
{
	struct idx x = { .n = 0 };

	add(&x, "MMIDIDX\0\0", 9);
	add_u64(&x, m->version);
	add(&x, &m->code, 1);
	add_u64(&x, m->sequences);
	add_u64(&x, m->entries);
	for (uint64_t i = 0; i < m->sequences && i < 4; i++)
		add(&x, &m->lengths[i], 4);
	for (uint64_t i = 0; i < m->sequences && i < 4; i++)
		add(&x, &m->pointers[i], 8);
	for (uint64_t i = 0; i < m->entries && i < 4; i++)
		add(&x, &m->documents[i], 8);
	return x;
}

static void check_plain(void)
{
	struct idx x = make(&plain);
	struct zn_megatron m;
	struct zn_sequence s[3];
	uint64_t first[2], n[2], tokens = 0;
	struct zn_err err = { "" };
	int rc = zn_megatron_open(&m, x.p, x.n, 24, &err);

	tap_ok(rc == 0 && m.dtype == ZN_DTYPE_U16 && m.sequences == 3 && m.documents == 2, "an index is opened (%s)", err.text);
	for (uint64_t i = 0; i < 3; i++)
		rc |= zn_megatron_sequence(&m, i, &s[i], &err);
	for (uint64_t i = 0; i < 2; i++)
		rc |= zn_megatron_document(&m, i, &first[i], &n[i], &err);
	tap_ok(rc == 0 && s[0].offset_bytes == 0 && s[0].tokens == 5 && s[1].tokens == 0 && s[2].offset_bytes == 10 && s[2].tokens == 7,
	       "its sequences (%s)", err.text);
	tap_ok(first[0] == 0 && n[0] == 1 && first[1] == 1 && n[1] == 2, "its documents");
	tap_ok(zn_megatron_stream(&m, &tokens, &err) == 0 && tokens == 12, "they are one stream of 12 tokens (%s)", err.text);
	x.n += 3; /* the modes of a multimodal set */
	tap_ok(zn_megatron_open(&m, x.p, x.n, 24, &err) == 0 && m.sequences == 3, "an index with modes");
}

static void check_types(void)
{
	static const struct { uint8_t code; int rc; enum zn_dtype t; } types[] = {
		{ 1, 0, ZN_DTYPE_U8 }, { 2, 0, ZN_DTYPE_I8 }, { 3, 0, ZN_DTYPE_I16 }, { 4, 0, ZN_DTYPE_I32 }, { 5, 0, ZN_DTYPE_I64 },
		{ 6, -ENOTSUP, 0 }, { 7, -ENOTSUP, 0 }, { 8, 0, ZN_DTYPE_U16 }, { 0, -EBADMSG, 0 }, { 9, -EBADMSG, 0 }, { 255, -EBADMSG, 0 },
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		struct made of = plain;
		of.code = types[i].code;
		struct idx x = make(&of);
		struct zn_megatron m;
		struct zn_err err = { "" };
		int rc = zn_megatron_open(&m, x.p, x.n, 1000, &err);
		tap_ok(rc == types[i].rc && (rc < 0 ? *err.text : m.dtype == types[i].t), "type %u: %d %s", types[i].code, rc, err.text);
	}
}

/* What is wrong is seen when it is opened, when the sequence is asked for, or only as a stream. */
static const struct { struct made of; uint64_t bin; int open, sequence, stream; const char *says; } wrongs[] = {
	{ { 8, 2, 3, 3, { 5, 0, 7 }, { 0, 10, 10 }, { 0, 1, 3 } }, 24, -ENOTSUP, 0, 0, "version 2" },
	{ { 8, 1, 4000, 3, { 5, 0, 7 }, { 0, 10, 10 }, { 0, 1, 3 } }, 24, -EBADMSG, 0, 0, "too short" },
	{ { 8, 1, UINT64_MAX, 3, { 5, 0, 7 }, { 0, 10, 10 }, { 0, 1, 3 } }, 24, -EBADMSG, 0, 0, "too short" },
	{ { 8, 1, UINT64_MAX / 12, UINT64_MAX / 8, { 5, 0, 7 }, { 0, 10, 10 }, { 0, 1, 3 } }, 24, -EBADMSG, 0, 0, "too short" },
	{ { 8, 1, 1, UINT64_MAX / 8, { 5 }, { 0 }, { 0, 1, 3 } }, 24, -EBADMSG, 0, 0, "too short" },
	{ { 8, 1, 3, 3, { 5, 0, 8 }, { 0, 10, 10 }, { 0, 1, 3 } }, 24, 0, -EBADMSG, -EBADMSG, "goes beyond" },
	{ { 8, 1, 3, 3, { 5, 0, 7 }, { 0, 10, 10 }, { 0, 1, 3 } }, 23, 0, -EBADMSG, -EBADMSG, "goes beyond" },
	{ { 8, 1, 3, 3, { 5, 0, -7 }, { 0, 10, 10 }, { 0, 1, 3 } }, 24, 0, -EBADMSG, -EBADMSG, "has -7 tokens" },
	{ { 8, 1, 3, 3, { 5, 0, 7 }, { 0, 10, -10 }, { 0, 1, 3 } }, 24, 0, -EBADMSG, -EBADMSG, "goes beyond" },
	{ { 8, 1, 3, 3, { 5, 0, INT32_MAX }, { 0, 10, INT64_MAX }, { 0, 1, 3 } }, 24, 0, -EBADMSG, -EBADMSG, "goes beyond" },
	{ { 8, 1, 3, 3, { 5, 0, 7 }, { 0, 10, 8 }, { 0, 1, 3 } }, 24, 0, 0, -ENOTSUP, "where the one before" },
	{ { 8, 1, 3, 3, { 5, 0, 7 }, { 2, 12, 12 }, { 0, 1, 3 } }, 26, 0, 0, -ENOTSUP, "where the one before" },
};

static void check_wrong(size_t i)
{
	struct idx x = make(&wrongs[i].of);
	struct zn_megatron m;
	struct zn_sequence s;
	struct zn_err err = { "" };
	uint64_t tokens;
	int open = zn_megatron_open(&m, x.p, x.n, wrongs[i].bin, &err), sequence = 0, stream = 0;

	if (open == 0) {
		stream = zn_megatron_stream(&m, &tokens, &err);
		sequence = zn_megatron_sequence(&m, 2, &s, NULL);
	}
	tap_ok(open == wrongs[i].open && sequence == wrongs[i].sequence && stream == wrongs[i].stream && strstr(err.text, wrongs[i].says),
	       "wrong: %s (%d %d %d)", err.text, open, sequence, stream);
}

static void check_documents(void)
{
	static const int64_t index[][3] = { { 0, 2, 1 }, { 0, 1, 4 }, { -1, 1, 3 }, { 0, -1, 3 } };

	for (size_t i = 0; i < sizeof(index) / sizeof(*index); i++) {
		struct made of = plain;
		memcpy(of.documents, index[i], sizeof(index[i]));
		struct idx x = make(&of);
		struct zn_megatron m;
		struct zn_err err = { "" };
		uint64_t first, n;
		int rc = zn_megatron_open(&m, x.p, x.n, 24, &err);
		int a = zn_megatron_document(&m, 0, &first, &n, &err), b = zn_megatron_document(&m, 1, &first, &n, &err);
		tap_ok(rc == 0 && (a == -EBADMSG || b == -EBADMSG), "a document index that goes astray: %s", err.text);
	}
	struct made none = { 4, 1, 0, 0, { 0 }, { 0 }, { 0 } };
	struct idx x = make(&none);
	struct zn_megatron m;
	uint64_t tokens = 9;
	tap_ok(zn_megatron_open(&m, x.p, x.n, 0, NULL) == 0 && m.documents == 0 && zn_megatron_stream(&m, &tokens, NULL) == 0 && tokens == 0,
	       "a set of nothing");
}

/* In memory of its exact size, so that ASan sees a step too far. */
static void check_damage(void)
{
	struct idx x = make(&plain);
	unsigned outside = 0, opened = 0, rounds = tap_rounds(50000);
	uint64_t seed = 1;

	for (unsigned i = 0; i < rounds; i++) {
		size_t n = i % 4 ? x.n : zn_random(&seed) % x.n;
		unsigned char *p = malloc(n ? n : 1);
		struct zn_megatron m;
		struct zn_sequence s;
		uint64_t first, k;
		memcpy(p, x.p, n);
		for (int k2 = 0; k2 < 3 && n; k2++)
			p[zn_random(&seed) % n] = (unsigned char)zn_random(&seed);
		if (zn_megatron_open(&m, p, n, 24, NULL) == 0) {
			opened++;
			for (uint64_t j = 0; j < m.sequences; j++)
				if (zn_megatron_sequence(&m, j, &s, NULL) == 0)
					outside += s.offset_bytes + s.tokens * zn_dtype_bytes(m.dtype) > 24;
			for (uint64_t j = 0; j < m.documents; j++)
				if (zn_megatron_document(&m, j, &first, &k, NULL) == 0)
					outside += first + k > m.sequences;
		}
		free(p);
	}
	tap_ok(!outside && opened > 0 && opened < rounds, "%u damaged indices, %u opened: what they say lies within the tokens", rounds, opened);
}

static void check_headers(void)
{
	struct idx x = make(&plain);
	struct zn_megatron m;
	struct zn_err err = { "" };

	tap_ok(zn_megatron_open(&m, "TNTIDX\0\0x", 9, 0, &err) == -ENOTSUP && strstr(err.text, "older"), "the older kind: %s", err.text);
	tap_ok(zn_megatron_open(&m, "hello, world", 12, 0, &err) == -EBADMSG && strstr(err.text, "MMIDIDX"), "no index: %s", err.text);
	tap_ok(zn_megatron_open(&m, x.p, 0, 0, &err) == -EBADMSG && strstr(err.text, "MMIDIDX"), "nothing: %s", err.text);
	tap_ok(zn_megatron_open(&m, x.p, 33, 0, &err) == -EBADMSG && strstr(err.text, "33 bytes"), "half a header: %s", err.text);
	tap_ok(zn_megatron_open(&m, x.p, x.n - 1, 24, &err) == -EBADMSG && strstr(err.text, "too short"), "cut: %s", err.text);
	x.n += 2;
	tap_ok(zn_megatron_open(&m, x.p, x.n, 24, &err) == -EBADMSG && strstr(err.text, "longer"), "with more behind it: %s", err.text);
}

static const struct { uint64_t tokens; uint32_t stride; uint64_t records; } streams[] = {
	{ 0, 4, 0 }, { 1, 4, 0 }, { 4, 4, 0 }, { 5, 4, 1 }, { 8, 4, 1 }, { 9, 4, 2 }, { 1000001, 1000, 1000 }, { 2, 1, 1 }, { 1000, 1, 999 },
};

static void check_tokens(void)
{
	struct zn_tokens t;
	struct zn_err err = { "" };

	for (size_t i = 0; i < sizeof(streams) / sizeof(*streams); i++) {
		int rc = zn_tokens_init(&t, 34, streams[i].tokens, ZN_DTYPE_U16, streams[i].stride, &err);
		struct zn_shape s = zn_tokens_shape(&t);
		uint64_t n = t.records, end = n ? zn_tokens_offset(&t, n - 1) + zn_shape_bytes(&s) : 34;
		tap_ok(rc == 0 && n == streams[i].records && end <= 34 + 2 * streams[i].tokens && s.dims[0] == streams[i].stride + 1,
		       "%ju tokens by %u are %ju records", (uintmax_t)streams[i].tokens, streams[i].stride, (uintmax_t)n);
	}
	zn_tokens_init(&t, 100, 1000, ZN_DTYPE_I32, 10, &err);
	tap_ok(zn_tokens_offset(&t, 3) == 100 + 30 * 4, "record 3 begins at token 30");
	tap_ok(zn_tokens_init(&t, 0, 10, ZN_DTYPE_U16, 0, &err) == -EINVAL, "no tokens at all: %s", err.text);
	tap_ok(zn_tokens_init(&t, 0, UINT64_MAX / 2, ZN_DTYPE_I32, 8, &err) == -EOVERFLOW, "too many: %s", err.text);
}

int main(void)
{
	check_plain();
	check_types();
	for (size_t i = 0; i < sizeof(wrongs) / sizeof(*wrongs); i++)
		check_wrong(i);
	check_documents();
	check_damage();
	check_headers();
	check_tokens();
	return tap_done();
}
