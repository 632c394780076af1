/* The index: "MMIDIDX\0\0", version u64, type u8, sequences u64, entries of the document index u64; then for each sequence its
 * length, i32, in tokens; for each its place, i64, in bytes; then the document index, i64: which sequence each document
 * begins with, and behind the last how many there are.  Multimodal sets have a byte for each sequence behind that.
 * Little-endian, and not aligned.
 */
#include "data/megatron.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

enum { HEADER_BYTES = 34 };

static const struct { uint8_t code; enum zn_dtype dtype; } dtypes[] = {
	{ 1, ZN_DTYPE_U8 }, { 2, ZN_DTYPE_I8 }, { 3, ZN_DTYPE_I16 }, { 4, ZN_DTYPE_I32 }, { 5, ZN_DTYPE_I64 }, { 8, ZN_DTYPE_U16 },
};

static uint64_t get_u64(const unsigned char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static int64_t length_of(const struct zn_megatron *m, uint64_t i)
{
	int32_t v;

	memcpy(&v, m->lengths + i * 4, sizeof(v));
	return v;
}

static uint64_t pointer_of(const struct zn_megatron *m, uint64_t i)
{
	return get_u64(m->pointers + i * 8);
}

static int read_dtype(uint8_t code, enum zn_dtype *ret, struct zn_err *err)
{
	for (size_t i = 0; i < sizeof(dtypes) / sizeof(*dtypes); i++)
		if (dtypes[i].code == code) {
			*ret = dtypes[i].dtype;
			return 0;
		}
	if (code == 6 || code == 7)
		return zn_err_set(err, -ENOTSUP, "its tokens are floating-point numbers (type %u)", code);
	return zn_err_set(err, -EBADMSG, "its tokens are of the unknown type %u", code);
}

static int check_header(const unsigned char *p, size_t n, struct zn_err *err)
{
	if (n >= 8 && !memcmp(p, "TNTIDX\0\0", 8))
		return zn_err_set(err, -ENOTSUP, "it is an index of the older, cached kind");
	if (n < 9 || memcmp(p, "MMIDIDX\0\0", 9))
		return zn_err_set(err, -EBADMSG, "it is no Megatron index: it does not begin with MMIDIDX");
	if (n < HEADER_BYTES)
		return zn_err_set(err, -EBADMSG, "the index ends in its header, after %zu bytes", n);
	if (get_u64(p + 9) != 1)
		return zn_err_set(err, -ENOTSUP, "the index is of version %" PRIu64 ", not 1", get_u64(p + 9));
	return 0;
}

/* Whether so many of both fit; then where the document index ends. */
static bool fits(uint64_t sequences, uint64_t entries, size_t n, uint64_t *ret_end)
{
	uint64_t a, b;

	if (__builtin_mul_overflow(sequences, 12, &a) || __builtin_mul_overflow(entries, 8, &b) ||
	    __builtin_add_overflow(a, b, &a) || __builtin_add_overflow(a, HEADER_BYTES, &a))
		return false;
	*ret_end = a;
	return a <= n;
}

int zn_megatron_open(struct zn_megatron *m, const void *idx, size_t idx_bytes, uint64_t bin_bytes, struct zn_err *err)
{
	const unsigned char *p = idx;
	struct zn_megatron to = { .bin_bytes = bin_bytes };
	uint64_t entries, end;
	int rc = check_header(p, idx_bytes, err);

	if (rc == 0)
		rc = read_dtype(p[17], &to.dtype, err);
	if (rc < 0)
		return rc;
	to.sequences = get_u64(p + 18);
	entries = get_u64(p + 26);
	if (!fits(to.sequences, entries, idx_bytes, &end))
		return zn_err_set(err, -EBADMSG, "the index is too short, %zu bytes, for %" PRIu64 " sequences and %" PRIu64
		                  " entries of documents", idx_bytes, to.sequences, entries);
	if (idx_bytes != end && idx_bytes - end != to.sequences)
		return zn_err_set(err, -EBADMSG, "the index is longer than its header says, by %" PRIu64 " bytes", idx_bytes - end);
	to.documents = entries ? entries - 1 : 0;
	to.lengths = p + HEADER_BYTES;
	to.pointers = to.lengths + to.sequences * 4;
	to.document_index = to.pointers + to.sequences * 8;
	*m = to;
	return 0;
}

int zn_megatron_sequence(const struct zn_megatron *m, uint64_t i, struct zn_sequence *ret, struct zn_err *err)
{
	int64_t tokens = length_of(m, i);
	uint64_t from = pointer_of(m, i);

	if (tokens < 0)
		return zn_err_set(err, -EBADMSG, "sequence %" PRIu64 " has %" PRIi64 " tokens", i, tokens);
	if (from > m->bin_bytes || (uint64_t)tokens > (m->bin_bytes - from) / zn_dtype_bytes(m->dtype))
		return zn_err_set(err, -EBADMSG, "sequence %" PRIu64 ", %" PRIi64 " tokens from byte %" PRIu64 " on, goes beyond the %"
		                  PRIu64 " bytes of the tokens", i, tokens, from, m->bin_bytes);
	*ret = (struct zn_sequence){ from, (uint64_t)tokens };
	return 0;
}

int zn_megatron_document(const struct zn_megatron *m, uint64_t i, uint64_t *ret_first, uint64_t *ret_n, struct zn_err *err)
{
	uint64_t from = get_u64(m->document_index + i * 8), to = get_u64(m->document_index + (i + 1) * 8);

	if (from > to || to > m->sequences)
		return zn_err_set(err, -EBADMSG, "document %" PRIu64 ", sequences %" PRIu64 " to %" PRIu64 " of %" PRIu64 ", is none",
		                  i, from, to, m->sequences);
	*ret_first = from;
	*ret_n = to - from;
	return 0;
}

int zn_megatron_stream(const struct zn_megatron *m, uint64_t *ret_tokens, struct zn_err *err)
{
	size_t bytes = zn_dtype_bytes(m->dtype);
	uint64_t tokens = 0;
	struct zn_sequence s;
	int rc;

	for (uint64_t i = 0; i < m->sequences; i++) {
		if ((rc = zn_megatron_sequence(m, i, &s, err)) < 0)
			return rc;
		/* tokens * bytes is where the one before ends, and so within NAME.bin */
		if (s.offset_bytes != tokens * bytes)
			return zn_err_set(err, -ENOTSUP, "sequence %" PRIu64 " does not begin where the one before it ends", i);
		tokens += s.tokens;
	}
	*ret_tokens = tokens;
	return 0;
}
