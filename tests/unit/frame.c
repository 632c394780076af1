#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rec/frame.h"
#include "rec/val.h"
#include "tap.h"

static const char payload[] = "\x82\xa4kind\xa3job\xa2id\x07, and some text behind it";
enum { PAYLOAD = sizeof(payload) - 1 };

static void make(struct zn_buf *b)
{
	*b = (struct zn_buf){ 0 };
	zn_frame_put(b, 0x1122334455667788, 0xdeadbeef, payload, PAYLOAD);
}

static void check_whole(void)
{
	struct zn_buf b, empty = { 0 };
	struct zn_frame f;

	make(&b);
	tap_ok(b.len == ZN_FRAME_HEAD + PAYLOAD && zn_frame_get(b.data, b.len, &f) == (ssize_t)b.len, "a frame is read back");
	tap_ok(f.seq == 0x1122334455667788 && f.nonce == 0xdeadbeef && f.version == ZN_FRAME_VERSION &&
	       f.len == PAYLOAD && !memcmp(f.payload, payload, PAYLOAD), "with all that was put in");
	tap_ok(!memcmp(b.data, "ZNF1\x28\0\0\0\x88\x77\x66\x55\x44\x33\x22\x11\xef\xbe\xad\xde\x01\0\0\0", 24) ||
	       PAYLOAD != 0x28, "little-endian, as the header says");
	zn_buf_add(&b, "noise", 5);
	tap_ok(zn_frame_get(b.data, b.len, &f) == ZN_FRAME_HEAD + PAYLOAD, "what follows does not matter");
	tap_ok(zn_frame_put(&empty, 1, 2, NULL, 0) == 0 && zn_frame_get(empty.data, empty.len, &f) == ZN_FRAME_HEAD &&
	       f.len == 0, "a frame may be empty");
	tap_ok(zn_frame_put(&empty, 1, 2, payload, (size_t)ZN_RECORD_MAX + 1) == -EMSGSIZE &&
	       empty.len == ZN_FRAME_HEAD, "one too long is refused");
	zn_buf_done(&b);
	zn_buf_done(&empty);
}

static void check_cuts(void)
{
	struct zn_buf b;
	struct zn_frame f = { .seq = 99 };
	int wrong = 0;

	make(&b);
	for (size_t n = 0; n < b.len; n++) {
		/* An exact copy, so that a sanitizer sees a read behind the end. */
		char *cut = malloc(n ? n : 1);
		memcpy(cut, b.data, n);
		wrong += zn_frame_get(cut, n, &f) != 0;
		wrong += zn_frame_resync(cut, n) != n;
		free(cut);
	}
	tap_ok(wrong == 0 && f.seq == 99, "cut at every byte it asks for more and sets nothing");
	zn_buf_done(&b);
}

/* A flipped length may ask for more bytes; nothing may ever be taken. */
static void check_flips(void)
{
	struct zn_buf b;
	struct zn_frame f = { .seq = 99 };
	int taken = 0, patient = 0, wrong = 0;

	make(&b);
	for (size_t bit = 0; bit < b.len * 8; bit++) {
		b.data[bit / 8] = (char)(b.data[bit / 8] ^ 1 << bit % 8);
		ssize_t rc = zn_frame_get(b.data, b.len, &f);
		taken += rc > 0;
		patient += rc == 0;
		wrong += rc == 0 && (bit < 32 || bit >= 64);
		wrong += zn_frame_resync(b.data, b.len) != b.len;
		b.data[bit / 8] = (char)(b.data[bit / 8] ^ 1 << bit % 8);
	}
	tap_ok(taken == 0 && f.seq == 99, "no flipped bit passes");
	tap_ok(wrong == 0 && patient <= 32, "only a length that grew asks for more (%d did)", patient);
	zn_buf_done(&b);
}

static void check_resync(void)
{
	struct zn_buf one, b = { 0 };
	struct zn_frame f;
	bool good = true;

	make(&one);
	zn_buf_addstr(&b, "ZNF1ZZZZNF1 noise ZNF");
	size_t noise = b.len;
	zn_buf_add(&b, one.data, one.len);
	tap_ok(zn_frame_resync(b.data, b.len) == noise, "a frame is found behind noise that looks like one");
	zn_buf_add(&b, one.data, one.len - 1);
	tap_ok(zn_frame_resync(b.data + noise + 1, b.len - noise - 1) == b.len - noise - 1, "a torn one is none");
	tap_ok(zn_frame_resync(b.data, 0) == 0, "nothing holds nothing");

	/* Three frames, each byte of the middle one damaged in turn: the first and the third are found. */
	b.len = 0;
	for (int i = 0; i < 3; i++)
		zn_buf_add(&b, one.data, one.len);
	for (size_t i = one.len; i < 2 * one.len; i++) {
		b.data[i] = (char)~b.data[i];
		good &= zn_frame_get(b.data, b.len, &f) == (ssize_t)one.len;
		good &= zn_frame_get(b.data + one.len, b.len - one.len, &f) <= 0;
		good &= zn_frame_resync(b.data + one.len, b.len - one.len) == one.len;
		b.data[i] = (char)~b.data[i];
	}
	tap_ok(good, "damage in one frame costs that frame only");

	/* Every number of bytes missing from the middle one. */
	for (size_t gone = 1; gone < one.len; gone++) {
		b.len = 0;
		zn_buf_add(&b, one.data, one.len - gone);
		zn_buf_add(&b, one.data, one.len);
		good &= zn_frame_resync(b.data, b.len) == one.len - gone;
	}
	tap_ok(good, "so does a piece that is missing");
	zn_buf_done(&b);
	zn_buf_done(&one);
}

int main(void)
{
	check_whole();
	check_cuts();
	check_flips();
	check_resync();
	return tap_done();
}
