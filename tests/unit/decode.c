#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "data/decode.h"
#include "data/image.h"
#include "tap.h"
#if defined(ZN_WITH_LIBJPEG) && defined(ZN_WITH_LIBPNG)
#include "decode_help.h"
#else
#include "base/random.h"
struct bytes { unsigned char *p; size_t n; };
#endif

/* ---- what is asked for ------------------------------------------------------------------------------------ */

static const struct { const char *text; int rc; const char *says; } texts[] = {
	{ "cls=int", 0, "" }, { "cls=int:i32", 0, "" }, { "x=float:f64", 0, "" }, { "a=npy", 0, "" }, { "a=npy:f32,3x4", 0, "" },
	{ "a=raw:u16,1025", 0, "" }, { "a=raw:i64", 0, "" },
	{ "a", -EINVAL, "FIELD=KIND" }, { "=int", -EINVAL, "FIELD=KIND" }, { "a=", -EINVAL, "can't become ''" },
	{ "a=jpeg", -EINVAL, "can't become 'jpeg'" }, { "a=int:u8", -EINVAL, "i32 or i64" }, { "a=float:f16", -EINVAL, "f32 or f64" },
	{ "a=raw", -EINVAL, "needs a type" }, { "a=raw:u99,3", -EINVAL, "'u99' is no type" }, { "a=raw:u8,0", -EINVAL, "no shape" },
	{ "a=raw:u8,3x", -EINVAL, "no shape" }, { "a=raw:u8,x3", -EINVAL, "no shape" }, { "a=raw:u8,-3", -EINVAL, "no shape" },
	{ "a=raw:u8,1x1x1x1x1x1x1", -EINVAL, "no shape" }, { "a=raw:f64,2000000000", -EINVAL, "2 GiB" },
	{ "a=npy:f64,2000000000x2000000000x2000000000", -EINVAL, "2 GiB" },
};

static const struct { const char *text; int rc; const char *says; } image_texts[] = {
	{ "jpg=image:224x224", 0, "" }, { "jpg=image:224x100,f32,flip,mean=0.485/0.456/0.406,std=0.229/0.224/0.225", 0, "" },
	{ "jpg=image:224x224,resize=256,crop=random", 0, "" }, { "jpg=image:8x8,crop=resized,area=0.2/1,aspect=1/1", 0, "" },
	{ "jpg=image:8x8,gray,hwc,bf16,mean=0.5,pixels=100M", 0, "" },
	{ "jpg=image", -EINVAL, "height and width" }, { "jpg=image:224", -EINVAL, "height and width" },
	{ "jpg=image:f32", -EINVAL, "height and width" }, { "jpg=image:0x3", -EINVAL, "height and width" },
	{ "jpg=image:20000x3", -EINVAL, "height and width" }, { "jpg=image:8x8,", -EINVAL, "no option" },
	{ "jpg=image:8x8,f64", -EINVAL, "'f64' is no option" }, { "jpg=image:8x8,flop", -EINVAL, "'flop' is no option" },
	{ "jpg=image:8x8,resize=7", -EINVAL, "less than the crop" }, { "jpg=image:8x8,resize=0", -EINVAL, "no number" },
	{ "jpg=image:8x8,resize=8,crop=none", -EINVAL, "crop=center and" }, { "jpg=image:8x8,crop=left", -EINVAL, "none of" },
	{ "jpg=image:8x8,area=0.1/1", -EINVAL, "crop=resized only" }, { "jpg=image:8x8,crop=resized,area=1/0.1", -EINVAL, "lower" },
	{ "jpg=image:8x8,crop=resized,area=0/1", -EINVAL, "lower" }, { "jpg=image:8x8,crop=resized,area=0.5/nan", -EINVAL, "lower" },
	{ "jpg=image:8x8,mean=0.5", -EINVAL, "need f32" }, { "jpg=image:8x8,f32,mean=0.5/0.5", -EINVAL, "one number or three" },
	{ "jpg=image:8x8,f32,std=0", -EINVAL, "more than 0" }, { "jpg=image:8x8,f32,std=1/1/x", -EINVAL, "one number or three" },
	{ "jpg=image:8x8,pixels=many", -EINVAL, "no number" }, { "jpg=image:8x8,f32,mean=", -EINVAL, "one number or three" },
};

static void check_text(const char *text, int want, const char *says)
{
	struct zn_decoder *d = NULL;
	struct zn_err err = { "" };
	int rc = zn_decode_parse(text, &d, &err);

	tap_ok(rc == want && (rc < 0 ? !d && *says && strstr(err.text, says) != NULL : d != NULL), "'%s' is %d (%d %s)", text, want, rc,
	       err.text);
	if (rc == 0)
		zn_decoder_free(d);
}

static struct zn_decoder *must_parse(const char *text)
{
	struct zn_decoder *d;
	struct zn_err err = { "" };

	if (zn_decode_parse(text, &d, &err) < 0) {
		fprintf(stderr, "%s: %s\n", text, err.text);
		exit(1);
	}
	return d;
}

/* On one line. */
static const char *shown(const char *text)
{
	static char to[128];
	size_t n = 0;

	for (; *text && n + 1 < sizeof(to); text++)
		to[n++] = *text == '\n' || *text == '\r' ? '~' : *text;
	to[n] = '\0';
	return to;
}

/* ---- numbers ---------------------------------------------------------------------------------------------- */

static const struct { const char *spec, *text; int rc; double v; } numbers[] = {
	{ "a=int", "7", 0, 7 }, { "a=int", " -12\n", 0, -12 }, { "a=int", "\t\r\n 007", 0, 7 }, { "a=int:i32", "2147483647", 0, 2147483647 },
	{ "a=int:i32", "2147483648", -EBADMSG, 0 }, { "a=int:i32", "-2147483648", 0, -2147483648.0 },
	{ "a=int", "9223372036854775808", -EBADMSG, 0 }, { "a=int", "", -EBADMSG, 0 }, { "a=int", "  \n", -EBADMSG, 0 },
	{ "a=int", "1 2", -EBADMSG, 0 }, { "a=int", "1.5", -EBADMSG, 0 }, { "a=int", "cat", -EBADMSG, 0 }, { "a=int", "-", -EBADMSG, 0 },
	{ "a=float", "0.25", 0, 0.25 }, { "a=float:f64", " 1e-3 ", 0, 1e-3 }, { "a=float", "x", -EBADMSG, 0 },
	{ "a=float", "0.5 0.5", -EBADMSG, 0 },
	{ "a=int", "00000000000000000000000000000000000000000000000000000000000000001", -EBADMSG, 0 },
};

static double value_of(const struct zn_decoder *d, const void *out)
{
	switch (d->shape.dtype) {
	case ZN_DTYPE_I32: return *(const int32_t *)out;
	case ZN_DTYPE_I64: return (double)*(const int64_t *)out;
	case ZN_DTYPE_F32: return *(const float *)out;
	default: return *(const double *)out;
	}
}

static void check_number(size_t i)
{
	struct zn_decoder *d = must_parse(numbers[i].spec);
	const char *why = NULL;
	uint64_t out = 0;
	size_t n = strlen(numbers[i].text);
	char *exact = malloc(n ? n : 1);       /* so that ASan sees a step too far */
	memcpy(exact, numbers[i].text, n);
	int rc = zn_decoder_run(d, NULL, exact, n, 0, &out, &why);

	tap_ok(rc == numbers[i].rc && (rc < 0 ? why != NULL : value_of(d, &out) == numbers[i].v), "'%s' as %s (%d, %s)",
	       shown(numbers[i].text), numbers[i].spec, rc, why ? why : "");
	free(exact);
	zn_decoder_free(d);
}

static void check_raw(void)
{
	struct zn_decoder *d = must_parse("bin=raw:u16,3");
	const char *why = NULL;
	uint16_t out[3] = { 0 };

	tap_ok(zn_decoder_run(d, NULL, "\1\0\2\0\3\1", 6, 0, out, &why) == 0 && out[0] == 1 && out[1] == 2 && out[2] == 259, "raw tokens");
	tap_ok(zn_decoder_run(d, NULL, "\1\0\2\0\3", 5, 0, out, &why) == -EBADMSG && strstr(why, "shorter"), "raw: too short");
	tap_ok(zn_decoder_run(d, NULL, "\1\0\2\0\3\1\1", 7, 0, out, &why) == -EBADMSG && strstr(why, "longer"), "raw: too long");
	zn_decoder_free(d);
}

/* ---- npy -------------------------------------------------------------------------------------------------- */

#define F32_3x2 "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }"

static const struct { const char *header; size_t data; int version, rc; const char *says; } npys[] = {
	{ F32_3x2, 24, 1, 0, "" }, { F32_3x2 "    \n", 24, 2, 0, "" }, { F32_3x2 "\n", 24, 3, 0, "" },
	{ "{'shape': (3, 2), 'descr': '<f4', 'fortran_order': False}", 24, 1, 0, "" },
	{ "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }", 24, 1, 0, "" },
	{ "{'descr': '<f4', 'fortran_order': False, 'shape': (), }", 4, 1, 0, "" },
	{ "{'descr': '|u1', 'fortran_order': False, 'shape': (24,), }", 24, 1, 0, "" },
	{ F32_3x2, 23, 1, -EBADMSG, "fewer" }, { F32_3x2, 25, 1, -EBADMSG, "more" }, { F32_3x2, 24, 4, -ENOTSUP, "version" },
	{ F32_3x2, 24, 0, -ENOTSUP, "version" },
	{ "{'descr': '>f4', 'fortran_order': False, 'shape': (3, 2), }", 24, 1, -ENOTSUP, "big-endian" },
	{ "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 2), }", 24, 1, -ENOTSUP, "Fortran" },
	{ "{'descr': '<c8', 'fortran_order': False, 'shape': (3, 1), }", 24, 1, -ENOTSUP, "none of ours" },
	{ "{'descr': '|O', 'fortran_order': False, 'shape': (3, 1), }", 24, 1, -ENOTSUP, "none of ours" },
	{ "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,), }", 24, 1, -ENOTSUP, "plain" },
	{ "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 2), }", 0, 1, -ENOTSUP, "empty" },
	{ "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,6), }", 24, 1, -ENOTSUP, "6 dim" },
	{ "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967298, 3), }", 24, 1, -EBADMSG, "header" },
	{ "{'descr': '<f4', 'fortran_order': False, 'shape': (2147483647, 2147483647, 2147483647), }", 24, 1, -EBADMSG, "fewer" },
	{ "{'descr': '<f4', 'fortran_order': False, 'shape': (-3, 2), }", 24, 1, -EBADMSG, "header" },
	{ "{'descr': '<f4', 'fortran_order': False, 'shape': (3 2), }", 24, 1, -EBADMSG, "header" },
	{ "{'descr': '<f4', 'fortran_order': False, }", 24, 1, -EBADMSG, "header" },
	{ "{'descr': '<f4', 'descr': '<f4', 'shape': (3, 2)}", 24, 1, -EBADMSG, "header" },
	{ "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2)", 24, 1, -EBADMSG, "header" },
	{ "{}", 24, 1, -EBADMSG, "header" }, { "", 24, 1, -EBADMSG, "header" }, { "__import__('os')", 24, 1, -EBADMSG, "header" },
};

static struct bytes make_npy(const char *header, size_t data, int version)
{
	size_t at = version == 1 ? 10 : 12, len = strlen(header);
	struct bytes b = { malloc(at + len + data), at + len + data };
	uint32_t len32 = (uint32_t)len;

	memcpy(b.p, "\x93NUMPY", 6);
	b.p[6] = (unsigned char)version;
	b.p[7] = 0;
	memcpy(b.p + 8, &len32, at - 8);
	memcpy(b.p + at, header, len);
	for (size_t i = 0; i < data; i++)
		b.p[at + len + i] = (unsigned char)(i * 7 % 120);
	return b;
}

static void check_npy(size_t i)
{
	struct bytes b = make_npy(npys[i].header, npys[i].data, npys[i].version);
	struct zn_decoder *d = must_parse("a=npy");
	const char *why = NULL;
	unsigned char out[64];
	int rc = zn_decoder_learn(d, b.p, b.n, &why);
	bool good = rc == npys[i].rc && (rc == 0 || (strstr(why, npys[i].says) && *npys[i].says));

	if (rc == 0)
		good &= d->bytes == npys[i].data && zn_decoder_run(d, NULL, b.p, b.n, 0, out, &why) == 0 &&
		        !memcmp(out, b.p + b.n - npys[i].data, npys[i].data);
	tap_ok(good, "npy %s, version %d (%d, %s)", shown(npys[i].header), npys[i].version, rc, why ? why : "");
	free(b.p);
	zn_decoder_free(d);
}

static void check_npy_others(void)
{
	static const struct { const char *spec, *header; int rc; const char *says; } rows[] = {
		{ "a=npy:f32,3x2", F32_3x2, 0, "" }, { "a=npy:f32,2x3", F32_3x2, -EBADMSG, "shape" },
		{ "a=npy:i32,3x2", F32_3x2, -EBADMSG, "type" },
		{ "a=npy:f32,6", F32_3x2, -EBADMSG, "shape" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct bytes b = make_npy(rows[i].header, 24, 1);
		struct zn_decoder *d = must_parse(rows[i].spec);
		const char *why = "";
		float out[6];
		int rc = zn_decoder_run(d, NULL, b.p, b.n, 0, out, &why);
		tap_ok(rc == rows[i].rc && strstr(why, rows[i].says), "%s of %s: %d %s", rows[i].spec, rows[i].header, rc, why);
		free(b.p);
		zn_decoder_free(d);
	}
}

static void check_npy_damage(void)
{
	struct bytes b = make_npy(F32_3x2, 24, 1);
	struct zn_decoder *d = must_parse("a=npy:f32,3x2");
	unsigned wrong = 0, taken = 0, rounds = tap_rounds(20000);
	uint64_t seed = 5;
	float out[6];

	for (unsigned i = 0; i < rounds; i++) {
		const char *why = NULL;
		size_t n = i % 2 ? b.n : zn_random(&seed) % b.n;
		unsigned char *p = malloc(n ? n : 1);
		memcpy(p, b.p, n);
		if (n)
			p[zn_random(&seed) % n] = (unsigned char)zn_random(&seed);
		int rc = zn_decoder_run(d, NULL, p, n, 0, out, &why);
		wrong += rc < 0 ? !why : n != b.n;
		taken += rc == 0;
		free(p);
	}
	tap_ok(!wrong && taken < rounds / 2, "%u damaged npy: each is refused with a reason, or only numbers changed (%u)", rounds, taken);
	free(b.p);
	zn_decoder_free(d);
}

/* ---- where the crop lies ---------------------------------------------------------------------------------- */

static bool is_inside(struct zn__box b, uint32_t w, uint32_t h)
{
	return b.w > 0 && b.h > 0 && b.x >= 0 && b.y >= 0 && b.x + b.w <= w * (1 + 1e-9) && b.y + b.h <= h * (1 + 1e-9);
}

static void check_resized(void)
{
	struct zn__image_opts o = { .w = 224, .h = 224, .crop = ZN__CROP_RESIZED, .area = { 0.08, 1 }, .aspect = { 0.75, 4.0 / 3 }, .flips = true };
	double low = 1, high = 0, a_low = 9, a_high = 0;
	unsigned out = 0, flips = 0, rounds = tap_rounds(20000);

	for (unsigned i = 0; i < rounds; i++) {
		struct zn__crop c = zn__crop_choose(&o, 400, 300, i);
		double area = c.box.w * c.box.h / (400 * 300), aspect = c.box.w / c.box.h;
		out += !is_inside(c.box, 400, 300) || c.box.x != floor(c.box.x);
		flips += c.flip;
		low = fmin(low, area), high = fmax(high, area), a_low = fmin(a_low, aspect), a_high = fmax(a_high, aspect);
	}
	tap_ok(!out && low > 0.075 && low < 0.1 && high > 0.95 && a_low > 0.73 && a_low < 0.77 && a_high < 1.37 && a_high > 1.31,
	       "random parts of 8 to 100 %% of the area lie inside (%.3f to %.3f, aspect %.3f to %.3f, %u outside)", low, high, a_low,
	       a_high, out);
	tap_ok(flips > rounds * 0.48 && flips < rounds * 0.52, "every second is mirrored (%u of %u)", flips, rounds);
}

static void check_places(void)
{
	unsigned out = 0, n = 0;
	uint64_t seed = 3;

	for (unsigned i = 0; i < tap_rounds(20000); i++, n++) {
		struct zn__image_opts o = { .w = 1 + zn_random(&seed) % 300, .h = 1 + zn_random(&seed) % 300,
		                            .crop = (enum zn__crop_kind)(i % 4), .area = { 0.001, 1 }, .aspect = { 0.01, 100 } };
		uint32_t w = 1 + zn_random(&seed) % (i % 5 ? 400 : 65535), h = 1 + zn_random(&seed) % 400;
		uint32_t longer = o.w > o.h ? o.w : o.h;
		o.resize = i % 8 < 4 ? 0 : longer + zn_random(&seed) % 50;
		struct zn__crop c = zn__crop_choose(&o, w, h, i);
		out += !is_inside(c.box, w, h) || !is_inside(c.within, w, h);
	}
	tap_ok(!out, "a crop of any kind and size lies inside the picture (%u of %u do not)", out, n);
}

static void check_center(void)
{
	struct zn__image_opts o = { .w = 224, .h = 224, .resize = 256 };
	struct zn__crop c = zn__crop_choose(&o, 500, 375, 1);

	/* torchvision: 341 x 256, then from (58, 16) on */
	tap_ok(fabs(c.box.x - 58 * 500 / 341.0) < 1e-9 && fabs(c.box.y - 16 * 375 / 256.0) < 1e-9, "Resize(256), CenterCrop(224)");
	o.resize = 0;
	c = zn__crop_choose(&o, 500, 375, 1);
	tap_ok(c.box.x == 62.5 && c.box.y == 0 && c.box.w == 375 && c.box.h == 375, "the largest square in the middle");
}

#if defined(ZN_WITH_LIBJPEG) && defined(ZN_WITH_LIBPNG)

/* ---- pictures --------------------------------------------------------------------------------------------- */

/* One picture, as the text says; NULL and *ret_why when it is refused. */
static void *decode_one(const char *text, struct bytes b, uint64_t random, int *ret_rc, const char **ret_why)
{
	struct zn_decoder *d = must_parse(text);
	void *hand = NULL, *out = malloc(d->bytes);

	*ret_why = "";
	*ret_rc = zn_decoder_hand_new(d, &hand);
	if (*ret_rc == 0)
		*ret_rc = zn_decoder_run(d, hand, b.p, b.n, random, out, ret_why);
	zn_decoder_hand_free(d, hand);
	zn_decoder_free(d);
	if (*ret_rc == 0)
		return out;
	free(out);
	return NULL;
}

static void *must_decode(const char *text, struct bytes b, uint64_t random)
{
	const char *why;
	int rc;
	void *out = decode_one(text, b, random, &rc, &why);

	if (!out) {
		printf("Bail out! %s: %d, %s\n", text, rc, why);
		exit(1);
	}
	return out;
}

static void check_png_exact(void)
{
	uint32_t w = 37, h = 29;
	unsigned char *px = make_pixels(w, h, 3, 1);
	struct bytes b = make_png(px, w * 3, w, h, PNG_COLOR_TYPE_RGB, 8, PNG_INTERLACE_NONE);
	struct bytes lace = make_png(px, w * 3, w, h, PNG_COLOR_TYPE_RGB, 8, PNG_INTERLACE_ADAM7);
	unsigned char *hwc = must_decode("png=image:29x37,hwc", b, 0), *none = must_decode("png=image:29x37,hwc,crop=none", lace, 0);
	unsigned char *chw = must_decode("png=image:29x37", b, 0);
	unsigned wrong = 0;

	tap_ok(!memcmp(hwc, px, w * h * 3), "a PNG's pixels as they are, hwc");
	tap_ok(!memcmp(none, px, w * h * 3), "those of an interlaced one");
	for (uint32_t i = 0; i < w * h; i++)
		for (uint32_t c = 0; c < 3; c++)
			wrong += chw[c * w * h + i] != px[i * 3 + c];
	tap_ok(!wrong, "and chw");
	free(hwc), free(none), free(chw), free(px), free(b.p), free(lace.p);
}

static void check_png_kinds(void)
{
	static const unsigned char gray16[4] = { 0, 0, 0xff, 0xff }, rgba[8] = { 1, 2, 3, 0, 200, 100, 50, 255 };
	static const unsigned char bits[1] = { 0x40 }, indexed[1] = { 0x10 };  /* 0 1 of 1 bit; 0 1 of 2 bits */
	static const struct { const unsigned char *rows; size_t n; int type, depth; unsigned char want[6]; const char *name; } kinds[] = {
		{ gray16, 4, PNG_COLOR_TYPE_GRAY, 16, { 0, 0, 0, 255, 255, 255 }, "16-bit gray" },
		{ rgba, 8, PNG_COLOR_TYPE_RGB_ALPHA, 8, { 1, 2, 3, 200, 100, 50 }, "RGBA, its transparency dropped" },
		{ bits, 1, PNG_COLOR_TYPE_GRAY, 1, { 0, 0, 0, 255, 255, 255 }, "black and white" },
		{ indexed, 1, PNG_COLOR_TYPE_PALETTE, 2, { 1, 2, 3, 250, 0, 9 }, "a palette" },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct bytes b = make_png(kinds[i].rows, kinds[i].n, 2, 1, kinds[i].type, kinds[i].depth, PNG_INTERLACE_NONE);
		unsigned char *out = must_decode("png=image:1x2,hwc", b, 0);
		tap_ok(!memcmp(out, kinds[i].want, 6), "PNG: %s (%u %u %u, %u %u %u)", kinds[i].name, out[0], out[1], out[2], out[3], out[4], out[5]);
		free(out), free(b.p);
	}
}

static double from_bf16(uint16_t v)
{
	uint32_t u = (uint32_t)v << 16;
	float f;

	memcpy(&f, &u, sizeof(f));
	return f;
}

static double from_f16(uint16_t v)
{
	int e = v >> 10 & 31;
	double m = v & 1023;

	return (v & 0x8000 ? -1 : 1) * (e ? ldexp(1024 + m, e - 25) : ldexp(m, -24));
}

/* No neighbour of v is nearer. */
static bool is_nearest(uint16_t v, double want, double (*from)(uint16_t))
{
	double off = fabs(from(v) - want), slack = fabs(want) * 1e-7;

	return off <= fabs(from((uint16_t)(v + 1)) - want) + slack && off <= fabs(from((uint16_t)(v - 1)) - want) + slack;
}

static void check_types(void)
{
	static const double mean[3] = { 0.485, 0.456, 0.406 }, std[3] = { 0.229, 0.224, 0.225 };
#define NORM ",mean=0.485/0.456/0.406,std=0.229/0.224/0.225"
	uint32_t w = 256, h = 3, n = w * h;
	unsigned char *px = malloc(n * 3);
	for (uint32_t i = 0; i < n * 3; i++)
		px[i] = (unsigned char)(i / 3 + i % 3 * 50);
	struct bytes b = make_png(px, w * 3, w, h, PNG_COLOR_TYPE_RGB, 8, PNG_INTERLACE_NONE);
	float *f32 = must_decode("png=image:3x256,f32" NORM, b, 0), *mixed = must_decode("png=image:3x256,f32,hwc" NORM, b, 0);
	float *plain = must_decode("png=image:3x256,f32", b, 0);
	uint16_t *bf16 = must_decode("png=image:3x256,bf16" NORM, b, 0), *f16 = must_decode("png=image:3x256,f16,hwc" NORM, b, 0);
	uint16_t *bf16_mixed = must_decode("png=image:3x256,bf16,hwc" NORM, b, 0), *f16_plain = must_decode("png=image:3x256,f16", b, 0);
	unsigned wrong[6] = { 0 };

	for (uint32_t i = 0; i < n; i++)
		for (uint32_t c = 0; c < 3; c++) {
			double v = px[i * 3 + c] / 255.0, want = (v - mean[c]) / std[c];
			wrong[0] += fabs(f32[c * n + i] - want) > 1e-6;
			wrong[1] += mixed[i * 3 + c] != f32[c * n + i];
			wrong[2] += fabs(plain[c * n + i] - v) > 1e-7;
			wrong[3] += !is_nearest(bf16[c * n + i], want, from_bf16) || bf16_mixed[i * 3 + c] != bf16[c * n + i];
			wrong[4] += !is_nearest(f16[i * 3 + c], want, from_f16);
			wrong[5] += !is_nearest(f16_plain[c * n + i], v, from_f16);
		}
	tap_ok(!wrong[0] && !wrong[1], "f32: (v - mean) / std, chw and hwc (%u, %u wrong)", wrong[0], wrong[1]);
	tap_ok(!wrong[2], "f32 without mean and std is 0 to 1");
	tap_ok(!wrong[3], "bf16 is the nearest there is, chw and hwc");
	tap_ok(!wrong[4] && !wrong[5], "f16 is the nearest there is, from 0 on (%u, %u wrong)", wrong[4], wrong[5]);
	free(px), free(b.p), free(f32), free(mixed), free(plain), free(bf16), free(f16), free(bf16_mixed), free(f16_plain);
}

/* The triangle filter in two directions at once, as it is written in books; box in pixels of px. */
static double naive(const unsigned char *px, uint32_t w, uint32_t h, uint32_t c, struct zn__crop crop, uint32_t ow, uint32_t oh, uint32_t ox, uint32_t oy)
{
	double fx = crop.box.w / ow, fy = crop.box.h / oh, sx = fmax(fx, 1), sy = fmax(fy, 1), sum = 0, weights = 0;
	double cx = crop.box.x + (ox + 0.5) * fx, cy = crop.box.y + (oy + 0.5) * fy;

	for (uint32_t y = 0; y < h; y++)
		for (uint32_t x = 0; x < w; x++) {
			bool outside = x < floor(crop.within.x) || x >= ceil(crop.within.x + crop.within.w) || y < floor(crop.within.y) ||
			               y >= ceil(crop.within.y + crop.within.h);
			double v = fmax(0, 1 - fabs(x + 0.5 - cx) / sx) * fmax(0, 1 - fabs(y + 0.5 - cy) / sy);
			if (outside)
				continue;
			sum += v * px[((size_t)y * w + x) * 3 + c];
			weights += v;
		}
	return sum / weights;
}

static void check_scaling(const char *text, uint32_t ow, uint32_t oh, const struct zn__image_opts *o, uint64_t random)
{
	uint32_t w = 61, h = 43;
	unsigned char *px = make_pixels(w, h, 3, 7);
	struct bytes b = make_png(px, w * 3, w, h, PNG_COLOR_TYPE_RGB, 8, PNG_INTERLACE_NONE);
	unsigned char *out = must_decode(text, b, random);
	struct zn__crop crop = zn__crop_choose(o, w, h, random);
	double worst = 0;

	for (uint32_t y = 0; y < oh; y++)
		for (uint32_t x = 0; x < ow; x++)
			for (uint32_t c = 0; c < 3; c++)
				worst = fmax(worst, fabs(out[(y * ow + (crop.flip ? ow - 1 - x : x)) * 3 + c] - naive(px, w, h, c, crop, ow, oh, x, y)));
	tap_ok(worst <= 0.51, "%s, number %d: within rounding of the plain sum (%.3f)", text, (int)random, worst);
	free(px), free(b.p), free(out);
}

static void check_scalings(void)
{
	struct zn__image_opts o = { .w = 20, .h = 16, .crop = ZN__CROP_NONE };
	check_scaling("png=image:16x20,hwc,crop=none", 20, 16, &o, 0);
	o = (struct zn__image_opts){ .w = 100, .h = 90, .crop = ZN__CROP_NONE };
	check_scaling("png=image:90x100,hwc,crop=none", 100, 90, &o, 0);
	o = (struct zn__image_opts){ .w = 61, .h = 7, .crop = ZN__CROP_NONE };
	check_scaling("png=image:7x61,hwc,crop=none", 61, 7, &o, 0);
	o = (struct zn__image_opts){ .w = 9, .h = 43, .crop = ZN__CROP_NONE };
	check_scaling("png=image:43x9,hwc,crop=none", 9, 43, &o, 0);
	o = (struct zn__image_opts){ .w = 1, .h = 1, .crop = ZN__CROP_NONE };
	check_scaling("png=image:1x1,hwc,crop=none", 1, 1, &o, 0);
	o = (struct zn__image_opts){ .w = 22, .h = 22 };
	check_scaling("png=image:22x22,hwc", 22, 22, &o, 0);
	o = (struct zn__image_opts){ .w = 22, .h = 21, .resize = 30, .crop = ZN__CROP_CENTER };
	check_scaling("png=image:21x22,hwc,resize=30", 22, 21, &o, 0);
	for (uint64_t r = 0; r < 4; r++) {
		o = (struct zn__image_opts){ .w = 22, .h = 21, .crop = ZN__CROP_RESIZED, .area = { 0.08, 1 }, .aspect = { 0.75, 4.0 / 3 }, .flips = true };
		check_scaling("png=image:21x22,hwc,crop=resized,flip", 22, 21, &o, r);
		o = (struct zn__image_opts){ .w = 22, .h = 21, .resize = 25, .crop = ZN__CROP_RANDOM, .flips = true };
		check_scaling("png=image:21x22,hwc,resize=25,crop=random,flip", 22, 21, &o, r);
	}
}

static void check_gray(void)
{
	uint32_t w = 30, h = 20;
	unsigned char *px = make_pixels(w, h, 3, 2);
	struct bytes b = make_png(px, w * 3, w, h, PNG_COLOR_TYPE_RGB, 8, PNG_INTERLACE_NONE);
	unsigned char *out = must_decode("png=image:20x30,gray", b, 0), *mixed = must_decode("png=image:20x30,gray,hwc", b, 0);
	double worst = 0;

	for (uint32_t i = 0; i < w * h; i++)
		worst = fmax(worst, fabs(out[i] - (0.299 * px[3 * i] + 0.587 * px[3 * i + 1] + 0.114 * px[3 * i + 2])));
	tap_ok(worst <= 0.51 && !memcmp(out, mixed, w * h), "gray is the luma (%.3f off)", worst);
	free(px), free(b.p), free(out), free(mixed);
}

static const struct jpeg_how hows[] = {
	{ 90, 2, 2, false, JCS_RGB, JCS_YCbCr, 3, false }, { 90, 2, 1, false, JCS_RGB, JCS_YCbCr, 3, false }, { 75, 1, 1, false, JCS_RGB, JCS_YCbCr, 3, false },
	{ 90, 2, 2, true, JCS_RGB, JCS_YCbCr, 3, false }, { 90, 1, 2, false, JCS_RGB, JCS_YCbCr, 3, false }, { 95, 4, 1, false, JCS_RGB, JCS_YCbCr, 3, false },
	{ 90, 0, 0, false, JCS_RGB, JCS_RGB, 3, false }, { 90, 0, 0, false, JCS_GRAYSCALE, JCS_GRAYSCALE, 1, false },
};

/* A crop is a piece of the whole, to the bit, wherever it lies. */
static void check_jpeg_crops(const struct jpeg_how *how)
{
	uint32_t w = 203, h = 157, fw, fh, cw = 64, ch = 50;
	unsigned char *px = make_pixels(w, h, (uint32_t)how->channels, 4);
	struct bytes b = make_jpeg(px, w, h, *how);
	unsigned char *whole = whole_jpeg(b, 1, JCS_RGB, &fw, &fh);
	struct zn_decoder *d = must_parse("jpg=image:50x64,hwc,resize=157,crop=random,flip");
	struct zn__image_opts o = { .w = cw, .h = ch, .resize = h, .crop = ZN__CROP_RANDOM, .flips = true };
	unsigned wrong = 0, rounds = 150;
	const char *why = "";
	void *hand;
	unsigned char *out = malloc(d->bytes);

	if (zn_decoder_hand_new(d, &hand) < 0)
		exit(1);
	for (unsigned r = 0; r < rounds; r++) {
		struct zn__crop c = zn__crop_choose(&o, w, h, r);
		uint32_t x0 = (uint32_t)nearbyint(c.box.x), y0 = (uint32_t)nearbyint(c.box.y);
		bool differs = zn_decoder_run(d, hand, b.p, b.n, r, out, &why) < 0;
		for (uint32_t y = 0; y < ch && !differs; y++)
			for (uint32_t x = 0; x < cw && !differs; x++)
				differs = memcmp(&out[(y * cw + (c.flip ? cw - 1 - x : x)) * 3], &whole[((y0 + y) * w + x0 + x) * 3], 3) != 0;
		wrong += differs;
	}
	tap_ok(!wrong, "JPEG %dx%d%s, %d channels: %u crops are pieces of the whole (%u are not %s)", how->h, how->v,
	       how->progressive ? " progressive" : "", how->channels, rounds, wrong, why);
	zn_decoder_hand_free(d, hand);
	zn_decoder_free(d);
	free(px), free(b.p), free(whole), free(out);
}

/* A large one comes out as libjpeg shrinks it, and then smoothed. */
static void check_jpeg_shrunk(void)
{
	uint32_t w = 400, h = 320, fw, fh;
	unsigned char *px = make_pixels(w, h, 3, 4);
	struct bytes b = make_jpeg(px, w, h, hows[0]);
	unsigned char *small = whole_jpeg(b, 4, JCS_RGB, &fw, &fh), *out = must_decode("jpg=image:80x100,hwc", b, 0);

	tap_ok(fw == 100 && fh == 80 && !memcmp(out, small, 100 * 80 * 3), "a JPEG four times as large is shrunk by libjpeg");
	free(out);
	out = must_decode("jpg=image:60x75,hwc", b, 0);
	struct zn__crop c = { { 0, 0, 100, 80 }, { 0, 0, 100, 80 }, false };
	double worst = 0;
	for (uint32_t y = 0; y < 60; y++)
		for (uint32_t x = 0; x < 75; x++)
			worst = fmax(worst, fabs(out[(y * 75 + x) * 3] - naive(small, fw, fh, 0, c, 75, 60, x, y)));
	tap_ok(worst <= 0.51, "one 5.3 times as large by 4, and is then smoothed (%.3f)", worst);
	free(px), free(b.p), free(small), free(out);
}

static void check_cmyk(void)
{
	unsigned char ink[4 * 64], *out;
	for (int i = 0; i < 64; i++)
		memcpy(ink + 4 * i, (unsigned char[]){ 255, 55, 128, 200 }, 4); /* Adobe's: how much light */
	struct bytes b = make_jpeg(ink, 8, 8, (struct jpeg_how){ 100, 0, 0, false, JCS_CMYK, JCS_CMYK, 4, false });

	out = must_decode("jpg=image:8x8,hwc", b, 0);
	tap_ok(abs(out[0] - 200) <= 2 && abs(out[1] - 43) <= 2 && abs(out[2] - 100) <= 2, "CMYK becomes RGB (%u %u %u)", out[0], out[1], out[2]);
	free(out), free(b.p);
}

static void check_flip(void)
{
	uint32_t w = 33, h = 5;
	unsigned char *px = make_pixels(w, h, 3, 9);
	struct bytes b = make_png(px, w * 3, w, h, PNG_COLOR_TYPE_RGB, 8, PNG_INTERLACE_NONE);
	unsigned same = 0, mirrored = 0, other = 0;

	for (uint64_t r = 0; r < 64; r++) {
		unsigned char *out = must_decode("png=image:5x33,hwc,flip", b, r), *again = must_decode("png=image:5x33,hwc,flip", b, r);
		bool is_mirrored = true;
		for (uint32_t y = 0; y < h; y++)
			for (uint32_t x = 0; x < w; x++)
				is_mirrored &= !memcmp(&out[(y * w + x) * 3], &px[(y * w + w - 1 - x) * 3], 3);
		same += !memcmp(out, px, w * h * 3);
		mirrored += is_mirrored;
		other += memcmp(out, again, w * h * 3) != 0;
		free(out), free(again);
	}
	tap_ok(same + mirrored == 64 && same > 15 && mirrored > 15 && !other, "flip: %u as they are, %u mirrored, the same number the same", same, mirrored);
	free(px), free(b.p);
}

/* ---- what is not well ------------------------------------------------------------------------------------- */

static void check_refused(const char *name, struct bytes b, int want, const char *says)
{
	const char *why;
	int rc;
	void *out = decode_one("x=image:8x8", b, 0, &rc, &why);

	tap_ok(rc == want && strstr(why, says) && *says, "%s is refused: %d, %s", name, rc, why);
	free(out);
}

/* The size in the frame header, and the rest as it was. */
static void set_jpeg_size(struct bytes b, unsigned w, unsigned h)
{
	for (size_t i = 2; i + 9 < b.n; i += 2 + (size_t)(b.p[i + 2] << 8 | b.p[i + 3]))
		if (b.p[i + 1] == 0xc0 || b.p[i + 1] == 0xc2) {
			memcpy(b.p + i + 5, (unsigned char[]){ (unsigned char)(h >> 8), (unsigned char)h, (unsigned char)(w >> 8), (unsigned char)w }, 4);
			return;
		}
}

static void check_refusals(void)
{
	unsigned char *px = make_pixels(64, 64, 3, 1), *gray = make_pixels(1000, 4, 1, 1);
	struct bytes jpg = make_jpeg(px, 64, 64, hows[0]), png = make_png(px, 64 * 3, 64, 64, PNG_COLOR_TYPE_RGB, 8, PNG_INTERLACE_NONE);
	struct bytes slow = make_jpeg(px, 64, 64, hows[3]);

	check_refused("nothing", (struct bytes){ px, 0 }, -EBADMSG, "empty");
	check_refused("a GIF", (struct bytes){ (unsigned char *)"GIF89a..", 8 }, -EBADMSG, "neither");
	check_refused("half a JPEG", (struct bytes){ jpg.p, jpg.n / 2 }, -EBADMSG, "ends before");
	check_refused("half a PNG", (struct bytes){ png.p, png.n / 2 }, -EBADMSG, "ends before");
	check_refused("the first bytes of a JPEG", (struct bytes){ jpg.p, 3 }, -EBADMSG, "ends before");
	check_refused("the first bytes of a PNG", (struct bytes){ png.p, 8 }, -EBADMSG, "ends before");
	png.p[png.n / 2] ^= 1;
	check_refused("a PNG with a bit turned", png, -EBADMSG, "PNG");
	png.p[png.n / 2] ^= 1;
	memcpy(png.p + 16, "\0\0\xff\xff\0\0\xff\xff", 8);     /* and its checksum is wrong */
	check_refused("a PNG whose header is damaged", png, -EBADMSG, "checksum");
	set_jpeg_size(jpg, 65500, 65500);
	check_refused("a JPEG that says 65500 x 65500", jpg, -EFBIG, "more pixels");
	set_jpeg_size(slow, 65500, 65500);
	check_refused("a progressive one", slow, -EFBIG, "more pixels");
	set_jpeg_size(jpg, 64, 0);
	check_refused("a JPEG of no rows", jpg, -EBADMSG, "damaged");
	free(px), free(gray), free(jpg.p), free(png.p), free(slow.p);
}

static void check_limit(void)
{
	unsigned char *px = make_pixels(64, 64, 3, 1);
	struct bytes b[] = { make_jpeg(px, 64, 64, hows[0]), make_png(px, 64 * 3, 64, 64, PNG_COLOR_TYPE_RGB, 8, PNG_INTERLACE_NONE) };
	const char *why;
	int rc, rc2;

	for (int i = 0; i < 2; i++) {
		free(decode_one("x=image:8x8,pixels=4095", b[i], 0, &rc, &why));
		free(decode_one("x=image:8x8,pixels=4096", b[i], 0, &rc2, &why));
		tap_ok(rc == -EFBIG && rc2 == 0, "pixels= is the most that is taken (%s)", i ? "PNG" : "JPEG");
		free(b[i].p);
	}
	free(px);
}

/* One hand after another damaged picture, and in between a good one, which comes out as ever. */
static void check_damage(const char *name, struct bytes good, const char *text, unsigned rounds)
{
	struct zn_decoder *d = must_parse(text);
	unsigned char *out = malloc(d->bytes), *first = malloc(d->bytes);
	unsigned no_reason = 0, taken = 0, changed = 0;
	uint64_t seed = 11;
	const char *why;
	void *hand;

	if (zn_decoder_hand_new(d, &hand) < 0 || zn_decoder_run(d, hand, good.p, good.n, 0, first, &why) < 0)
		exit(1);
	for (unsigned i = 0; i < rounds; i++) {
		size_t n = i % 3 ? good.n : 1 + zn_random(&seed) % good.n;
		unsigned char *p = malloc(n);
		memcpy(p, good.p, n);
		for (uint64_t k = zn_random(&seed) % 4; k > 0; k--)
			p[zn_random(&seed) % (i % 2 && n > 700 ? 700 : n)] ^= (unsigned char)(1 << zn_random(&seed) % 8);
		why = NULL;
		int rc = zn_decoder_run(d, hand, p, n, i, out, &why);
		taken += rc == 0;
		no_reason += rc < 0 && !why;
		free(p);
		if (i % 16 == 0)
			changed += zn_decoder_run(d, hand, good.p, good.n, 0, out, &why) < 0 || memcmp(out, first, d->bytes);
	}
	tap_ok(!no_reason && !changed && taken < rounds, "%u damaged %s: each has a reason or pixels (%u), and good ones stay good", rounds,
	       name, taken);
	zn_decoder_hand_free(d, hand);
	zn_decoder_free(d);
	free(out), free(first);
}

/* libjpeg keeps tables, for streams of pictures that share them. */
static void check_no_tables(void)
{
	unsigned char *px = make_pixels(40, 30, 3, 6);
	struct bytes good = make_jpeg(px, 40, 30, hows[0]);
	struct bytes bare = make_jpeg(px, 40, 30, (struct jpeg_how){ 90, 2, 2, false, JCS_RGB, JCS_YCbCr, 3, .bare = true });
	struct zn_decoder *d = must_parse("x=image:30x40");
	unsigned char *out = malloc(d->bytes);
	const char *why = "";
	void *hand;
	int rc;

	if (zn_decoder_hand_new(d, &hand) < 0)
		exit(1);
	rc = zn_decoder_run(d, hand, good.p, good.n, 0, out, &why);
	bool refused = zn_decoder_run(d, hand, bare.p, bare.n, 0, out, &why) == -EBADMSG;
	tap_ok(rc == 0 && refused, "a JPEG without tables does not take those of the last one (%s)", why);
	zn_decoder_hand_free(d, hand);
	zn_decoder_free(d);
	free(out), free(px), free(good.p), free(bare.p);
}

static void check_damages(void)
{
	uint32_t w = 90, h = 70;
	unsigned char *px = make_pixels(w, h, 3, 6);
	struct bytes jpg = make_jpeg(px, w, h, hows[0]), slow = make_jpeg(px, w, h, hows[3]);
	struct bytes png = make_png(px, w * 3, w, h, PNG_COLOR_TYPE_RGB, 8, PNG_INTERLACE_NONE);
	struct bytes lace = make_png(px, w * 3, w, h, PNG_COLOR_TYPE_RGB, 8, PNG_INTERLACE_ADAM7);

	check_damage("JPEGs", jpg, "x=image:33x44,crop=resized,flip,pixels=1M", tap_rounds(4000));
	check_damage("progressive JPEGs", slow, "x=image:33x44,crop=resized,flip,f32,pixels=1M", tap_rounds(2000));
	check_damage("PNGs", png, "x=image:33x44,crop=resized,hwc,bf16,pixels=1M", tap_rounds(2000));
	check_damage("interlaced PNGs", lace, "x=image:20x20,resize=50,pixels=1M", tap_rounds(1000));
	free(px), free(jpg.p), free(slow.p), free(png.p), free(lace.p);
}

#endif

int main(void)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		check_text(texts[i].text, texts[i].rc, texts[i].says);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		check_number(i);
	check_raw();
	for (size_t i = 0; i < sizeof(npys) / sizeof(*npys); i++)
		check_npy(i);
	check_npy_others();
	check_npy_damage();
	check_resized();
	check_places();
	check_center();
#if defined(ZN_WITH_LIBJPEG) && defined(ZN_WITH_LIBPNG)
	for (size_t i = 0; i < sizeof(image_texts) / sizeof(*image_texts); i++)
		check_text(image_texts[i].text, image_texts[i].rc, image_texts[i].says);
	check_png_exact();
	check_png_kinds();
	check_types();
	check_scalings();
	check_gray();
	for (size_t i = 0; i < sizeof(hows) / sizeof(*hows); i++)
		check_jpeg_crops(&hows[i]);
	check_jpeg_shrunk();
	check_cmyk();
	check_flip();
	check_refusals();
	check_limit();
	check_no_tables();
	check_damages();
#else
	(void)image_texts;
#ifndef ZN_WITH_LIBJPEG
	check_text("jpg=image:8x8", -ENOTSUP, "built without libjpeg-turbo");
#endif
#ifndef ZN_WITH_LIBPNG
	check_text("mask.PNG=image:8x8", -ENOTSUP, "built without libpng");
#endif
#endif
	return tap_done();
}
