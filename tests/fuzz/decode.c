/* decode: everything in lib/data that makes numbers of bytes from others, under libFuzzer (scripts/fuzz).  The first byte
 * chooses the decoder, the second what augmentation draws.  Beside not crashing: a refusal has a reason, what is taken is the
 * same again with another hand, and no byte behind the result is touched.
 */
#include <stdlib.h>
#include <string.h>

#include "data/decode.h"
#include "data/megatron.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define must(condition) do { if (!(condition)) abort(); } while (0)

static const char *const texts[] = {
	"a=image:17x23,crop=resized,flip,pixels=256K", "a=image:30x20,f32,hwc,crop=none,pixels=256K",
	"a=image:16x16,bf16,resize=20,crop=random,pixels=256K", "a=image:1x64,gray,f16,pixels=256K",
	"a=npy:f32,3x2", "a=npy", "a=int:i32", "a=float", "a=raw:u16,3",
};
enum { TEXTS = sizeof(texts) / sizeof(*texts) };

static struct zn_decoder *decoders[TEXTS];
static void *hands[TEXTS];

static void set_up(void)
{
	for (size_t i = 0; !decoders[TEXTS - 1] && i < TEXTS; i++) {
		must(zn_decode_parse(texts[i], &decoders[i], NULL) == 0);
		must(zn_decoder_hand_new(decoders[i], &hands[i]) == 0);
	}
}

/* The input is a decoder's text. */
static void fuzz_text(const uint8_t *p, size_t n)
{
	char *text = strndup((const char *)p, n);
	struct zn_decoder *d;
	struct zn_err err = { "" };
	int rc = zn_decode_parse(text, &d, &err);

	must(rc == 0 || *err.text);
	if (rc == 0) {
		must(!d->has_shape || (d->bytes && d->bytes == zn_shape_bytes(&d->shape)));
		zn_decoder_free(d);
	}
	free(text);
}

static void fuzz_megatron(const uint8_t *p, size_t n)
{
	enum { BIN = 1000 };
	struct zn_err err = { "" };
	struct zn_megatron m;
	struct zn_sequence s;
	uint64_t first, count, tokens;
	int rc = zn_megatron_open(&m, p, n, BIN, &err);

	must(rc == 0 || *err.text);
	for (uint64_t i = 0; rc == 0 && i < m.sequences; i++)
		must(zn_megatron_sequence(&m, i, &s, NULL) < 0 || s.offset_bytes + s.tokens * zn_dtype_bytes(m.dtype) <= BIN);
	for (uint64_t i = 0; rc == 0 && i < m.documents; i++)
		must(zn_megatron_document(&m, i, &first, &count, NULL) < 0 || first + count <= m.sequences);
	must(rc < 0 || zn_megatron_stream(&m, &tokens, NULL) < 0 || tokens * zn_dtype_bytes(m.dtype) <= BIN);
}

/* A shape that only the first one says. */
static int learn(size_t which, const uint8_t *p, size_t n, const char **ret_why)
{
	struct zn_decoder *d;
	int rc;

	if (decoders[which]->has_shape || zn_decode_parse(texts[which], &d, NULL) < 0)
		return 0;
	rc = zn_decoder_learn(d, p, n, ret_why);
	if (rc == 0) {
		void *out = malloc(d->bytes);
		must(zn_decoder_run(d, NULL, p, n, 0, out, ret_why) == 0);
		free(out);
	}
	zn_decoder_free(d);
	return rc < 0 ? rc : 1;
}

static void fuzz_decoder(size_t which, uint64_t random, const uint8_t *p, size_t n)
{
	const struct zn_decoder *d = decoders[which];
	const char *why = NULL;
	void *hand, *out, *again;
	int rc = learn(which, p, n, &why);

	must(rc >= 0 || why);
	if (rc || !d->has_shape)
		return;
	out = malloc(d->bytes);
	rc = zn_decoder_run(d, hands[which], p, n, random, out, &why);
	must(rc == 0 || why);
	if (rc == 0) {
		again = malloc(d->bytes);
		must(zn_decoder_hand_new(d, &hand) == 0);
		must(zn_decoder_run(d, hand, p, n, random, again, &why) == 0 && !memcmp(out, again, d->bytes));
		zn_decoder_hand_free(d, hand);
		free(again);
	}
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	size_t which;

	set_up();
	if (n < 2)
		return 0;
	which = data[0] % (TEXTS + 2);
	if (which == TEXTS)
		fuzz_text(data + 2, n - 2);
	else if (which == TEXTS + 1)
		fuzz_megatron(data + 2, n - 2);
	else
		fuzz_decoder(which, data[1], data + 2, n - 2);
	return 0;
}
