/* pixels: the loops over each pixel, plain so that the compiler makes vectors of them. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3") /* at -O2 gcc 12 vectorises only loops whose count it knows */
#endif

#include <assert.h>
#include <string.h>

#include "data/image.h"

/* Twice as wide where the CPU can, which is found out when the program starts; not so with sanitizers, whose own code is not
 * ready by then.  Without fused multiply-add, so that the numbers are the same everywhere.
 */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define WIDE __attribute__((target_clones("avx2", "default")))
#else
#define WIDE
#endif

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a pixel's red is in the low byte of its word");

static inline uint32_t bits_of(float v)
{
	uint32_t u;

	memcpy(&u, &v, sizeof(u));
	return u;
}

/* To the nearest, a tie to even; what comes here is finite. */
static inline uint16_t to_bf16(float v)
{
	uint32_t u = bits_of(v);

	return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static uint16_t to_f16(float v)
{
	uint32_t u = bits_of(v), sign = u >> 16 & 0x8000, rest = u & 0x7fffffff;

	if (rest >= 0x477ff000)                /* 65520 and more */
		return (uint16_t)(sign | 0x7c00);
	if (rest < 0x38800000) {               /* below 2^-14: the numbers lie evenly, 2^-24 apart */
		float magic = 0.5f, abs_v;
		memcpy(&abs_v, &rest, sizeof(abs_v));
		return (uint16_t)(sign | (bits_of(abs_v + magic) - bits_of(magic)));
	}
	return (uint16_t)(sign | ((rest - 0x38000000 + 0xfff + (rest >> 13 & 1)) >> 13));
}

void zn__pack_init(struct zn__pack *k, const struct zn__image_opts *o)
{
	*k = (struct zn__pack){ .dtype = o->dtype, .is_hwc = o->is_hwc, .channels = o->channels, .w = o->w, .h = o->h };
	for (uint32_t c = 0; c < 3; c++) {
		k->scale[c] = (float)(1 / (255 * o->std[c]));
		k->shift[c] = (float)(-o->mean[c] / o->std[c]);
		for (uint32_t v = 0; v < 256; v++) {
			float f = (float)v * k->scale[c] + k->shift[c];
			k->half[c][v] = o->dtype == ZN_DTYPE_BF16 ? to_bf16(f) : to_f16(f);
		}
	}
}

static void plane_u8(const uint32_t *restrict px, uint32_t w, int shift, uint8_t *restrict out)
{
	for (uint32_t x = 0; x < w; x++)
		out[x] = (uint8_t)(px[x] >> shift);
}

static void plane_f32(const uint32_t *restrict px, uint32_t w, int shift, float a, float b, float *restrict out)
{
	for (uint32_t x = 0; x < w; x++)
		out[x] = (float)(int32_t)(px[x] >> shift & 255) * a + b;
}

static void plane_bf16(const uint32_t *restrict px, uint32_t w, int shift, float a, float b, uint16_t *restrict out)
{
	for (uint32_t x = 0; x < w; x++)
		out[x] = to_bf16((float)(int32_t)(px[x] >> shift & 255) * a + b);
}

static void plane_half(const uint32_t *restrict px, uint32_t w, int shift, const uint16_t *restrict half, uint16_t *restrict out)
{
	for (uint32_t x = 0; x < w; x++)
		out[x] = half[px[x] >> shift & 255];
}

/* What is asked for most, red, green and blue at once. */
static void planes_f32(const struct zn__pack *k, const uint32_t *restrict px, float *restrict red, float *restrict green,
                       float *restrict blue)
{
	float a[3] = { k->scale[0], k->scale[1], k->scale[2] }, b[3] = { k->shift[0], k->shift[1], k->shift[2] };

	for (uint32_t x = 0; x < k->w; x++) {
		red[x] = (float)(int32_t)(px[x] & 255) * a[0] + b[0];
		green[x] = (float)(int32_t)(px[x] >> 8 & 255) * a[1] + b[1];
		blue[x] = (float)(int32_t)(px[x] >> 16 & 255) * a[2] + b[2];
	}
}

static void pack_plane(const struct zn__pack *k, const uint32_t *px, uint32_t c, size_t at, void *out)
{
	int shift = 8 * (int)c;

	if (k->dtype == ZN_DTYPE_U8)
		plane_u8(px, k->w, shift, (uint8_t *)out + at);
	else if (k->dtype == ZN_DTYPE_F32)
		plane_f32(px, k->w, shift, k->scale[c], k->shift[c], (float *)out + at);
	else if (k->dtype == ZN_DTYPE_BF16)
		plane_bf16(px, k->w, shift, k->scale[c], k->shift[c], (uint16_t *)out + at);
	else
		plane_half(px, k->w, shift, k->half[c], (uint16_t *)out + at);
}

WIDE static void pack_planes(const struct zn__pack *k, const uint32_t *px, uint32_t y, void *out)
{
	size_t plane = (size_t)k->h * k->w, at = (size_t)y * k->w;
	float *f32 = (float *)out + at;

	if (k->dtype == ZN_DTYPE_F32 && k->channels == 3) {
		planes_f32(k, px, f32, f32 + plane, f32 + 2 * plane);
		return;
	}
	for (uint32_t c = 0; c < k->channels; c++)
		pack_plane(k, px, c, c * plane + at, out);
}

static void mixed_u8(const uint32_t *restrict px, uint32_t w, uint8_t *restrict out)
{
	for (uint32_t x = 0; x < w; x++) {
		out[3 * x] = (uint8_t)px[x];
		out[3 * x + 1] = (uint8_t)(px[x] >> 8);
		out[3 * x + 2] = (uint8_t)(px[x] >> 16);
	}
}

static void mixed_f32(const struct zn__pack *k, const uint32_t *restrict px, float *restrict out)
{
	for (uint32_t x = 0; x < k->w; x++)
		for (uint32_t c = 0; c < 3; c++)
			out[3 * x + c] = (float)(int32_t)(px[x] >> 8 * c & 255) * k->scale[c] + k->shift[c];
}

static void mixed_half(const struct zn__pack *k, const uint32_t *restrict px, uint16_t *restrict out)
{
	for (uint32_t x = 0; x < k->w; x++)
		for (uint32_t c = 0; c < 3; c++)
			out[3 * x + c] = k->half[c][px[x] >> 8 * c & 255];
}

WIDE static void pack_mixed(const struct zn__pack *k, const uint32_t *px, uint32_t y, void *out)
{
	size_t at = (size_t)y * k->w * 3;

	if (k->dtype == ZN_DTYPE_U8)
		mixed_u8(px, k->w, (uint8_t *)out + at);
	else if (k->dtype == ZN_DTYPE_F32)
		mixed_f32(k, px, (float *)out + at);
	else
		mixed_half(k, px, (uint16_t *)out + at);
}

/* ITU-R 601, in 65536ths, as Pillow has it. */
static void to_gray(uint32_t *px, uint32_t w)
{
	for (uint32_t x = 0; x < w; x++)
		px[x] = ((px[x] & 255) * 19595 + (px[x] >> 8 & 255) * 38470 + (px[x] >> 16 & 255) * 7471 + 0x8000) >> 16;
}

void zn__pack_row(const struct zn__pack *k, uint32_t *px, uint32_t y, void *out)
{
	if (k->channels == 1)
		to_gray(px, k->w);
	(k->is_hwc && k->channels == 3 ? pack_mixed : pack_planes)(k, px, y, out);
}

WIDE void zn__pixels_round(const float *restrict from, size_t n, uint32_t *restrict to)
{
	uint8_t *restrict bytes = (uint8_t *)to;

	for (size_t i = 0; i < n * 4; i++)
		bytes[i] = (uint8_t)(int32_t)(from[i] + 0.5f);
}

WIDE void zn__pixels_widen(const uint32_t *restrict from, size_t n, float *restrict to)
{
	const uint8_t *restrict bytes = (const uint8_t *)from;

	for (size_t i = 0; i < n * 4; i++)
		to[i] = (float)bytes[i];
}

typedef float four __attribute__((vector_size(16), aligned(4), may_alias));

static inline __attribute__((always_inline)) void across(const struct zn__taps *t, uint32_t count, const float *from, float *to)
{
	for (uint32_t x = 0; x < t->n; x++) {
		const four *p = (const four *)from + (t->at[x] - t->first);
		const float *w = &t->weight[(size_t)x * t->width];
		four sum = p[0] * w[0];
		for (uint32_t k = 1; k < count; k++)
			sum += p[k] * w[k];
		((four *)to)[x] = sum;
	}
}

void zn__pixels_across(const struct zn__taps *t, const float *from, float *to)
{
	switch (t->count) { /* those that are usual, unrolled */
	case 2: across(t, 2, from, to); break;
	case 3: across(t, 3, from, to); break;
	case 4: across(t, 4, from, to); break;
	case 5: across(t, 5, from, to); break;
	default: across(t, t->count, from, to);
	}
}

static void down_one(const float *restrict row, float w, size_t n, float *restrict to)
{
	for (size_t i = 0; i < n; i++)
		to[i] = row[i] * w;
}

static void down_two(const float *const *rows, const float *weight, size_t n, float *restrict to)
{
	const float *restrict a = rows[0], *restrict b = rows[1];
	float wa = weight[0], wb = weight[1];

	for (size_t i = 0; i < n; i++)
		to[i] = a[i] * wa + b[i] * wb;
}

static void down_two_more(const float *const *rows, const float *weight, size_t n, float *restrict to)
{
	const float *restrict a = rows[0], *restrict b = rows[1];
	float wa = weight[0], wb = weight[1];

	for (size_t i = 0; i < n; i++)
		to[i] += a[i] * wa + b[i] * wb;
}

static void down_one_more(const float *restrict row, float w, size_t n, float *restrict to)
{
	for (size_t i = 0; i < n; i++)
		to[i] += row[i] * w;
}

WIDE void zn__pixels_down(const float *const *rows, const float *weight, uint32_t count, size_t n, float *to)
{
	uint32_t k = count > 1 ? 2 : 1;

	if (count > 1)
		down_two(rows, weight, n, to);
	else
		down_one(rows[0], weight[0], n, to);
	for (; k + 2 <= count; k += 2)
		down_two_more(rows + k, weight + k, n, to);
	if (k < count)
		down_one_more(rows[k], weight[k], n, to);
}
