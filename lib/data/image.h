/* image: from the rows of a picture to the numbers that are asked for.  Inside the room only.
 *
 * A reader (jpeg.c, png.c) says how large the picture is; that decides where the crop lies (crop.c), which rows and
 * columns of the picture, perhaps shrunk while it is decoded, are needed, and with what weight (taps.c).  Rows then come one
 * by one: each is scaled in width and kept in a ring of as many as a row of the result is made of; a row of the
 * result is scaled in height and packed (pack.c) as soon as its last one is there.  So the memory needed is a few rows.
 *
 * A pixel is 4 bytes, red, green, blue and one that does not count, which a machine word holds.
 */
#ifndef ZN_DATA_IMAGE_H
#define ZN_DATA_IMAGE_H

#include "data/decode.h"

enum zn__crop_kind { ZN__CROP_CENTER, ZN__CROP_RANDOM, ZN__CROP_RESIZED, ZN__CROP_NONE };

struct zn__image_opts {
	uint32_t w, h;
	uint32_t channels;             /* 1 or 3 */
	enum zn_dtype dtype;
	bool is_hwc, flips;
	enum zn__crop_kind crop;
	uint32_t resize;               /* 0: as large as it can be */
	double area[2], aspect[2];
	double mean[3], std[3];
	uint64_t max_pixels;
};

/* ---- image_parse.c: what is asked for ---------------------------------------------------------------------- */

/* opts as the text has them, and cut up. */
int zn__image_parse(const char *field, char *opts, struct zn__image_opts *ret, struct zn_err *err);

/* ---- crop.c: where ---------------------------------------------------------------------------------------- */

struct zn__box { double x, y, w, h; }; /* in pixels of the picture as it was */

struct zn__crop {
	struct zn__box box;            /* becomes the result */
	struct zn__box within;         /* what pixels at its edge may be smoothed with */
	bool flip;
};

/* Pure.  w and h at least 1. */
struct zn__crop zn__crop_choose(const struct zn__image_opts *o, uint32_t w, uint32_t h, uint64_t random);

/* ---- taps.c: of which pixels, in one direction ------------------------------------------------------------- */

struct zn__taps_of { double start, length, low, high, size; };

struct zn__taps {
	struct zn__taps_of of;         /* what they were made of, with n above 0 */
	uint32_t n;                    /* pixels made */
	uint32_t first, end;           /* pixels of the source that are needed at all */
	uint32_t count;                /* pixels of the source that each is made of */
	bool is_copy;                  /* each is one of the source, in order */
	uint32_t *at;                  /* [n] the first of the source */
	float *weight;                 /* [n][width], of which count are used */
	uint32_t width;
	size_t cap_n, cap_weight;      /* what is allocated */
};

/* n pixels of what lies from start on, length long, of a source of size pixels, of which low to high may be used. */
int zn__taps_make(struct zn__taps *t, uint32_t n, double start, double length, double low, double high, uint32_t size);
void zn__taps_done(struct zn__taps *t);

/* ---- pack.c: pixels to numbers ---------------------------------------------------------------------------- */

struct zn__pack {
	enum zn_dtype dtype;
	bool is_hwc;
	uint32_t channels, w, h;
	float scale[3], shift[3];      /* f32: v * scale + shift, v from 0 to 255 */
	uint16_t half[3][256];         /* f16, bf16: of each v */
};

void zn__pack_init(struct zn__pack *k, const struct zn__image_opts *o);
/* Row y of out; px may be changed. */
void zn__pack_row(const struct zn__pack *k, uint32_t *px, uint32_t y, void *out);
/* bytes [n * 4] of pixels in numbers, to pixels, rounded. */
void zn__pixels_round(const float *from, size_t n, uint32_t *to);
void zn__pixels_widen(const uint32_t *from, size_t n, float *to);
/* A row scaled in width: t->n pixels of 4 numbers; from begins at the source's pixel t->first. */
void zn__pixels_across(const struct zn__taps *t, const float *from, float *to);
/* The sum of count rows of n numbers, each by its weight. */
void zn__pixels_down(const float *const *rows, const float *weight, uint32_t count, size_t n, float *to);

/* ---- image.c: one thread's work --------------------------------------------------------------------------- */

struct zn__image {
	const struct zn__image_opts *opts;
	const struct zn__pack *pack;
	struct zn__jpeg *jpeg;
	uint64_t random;
	void *out;
	uint32_t size_w, size_h;       /* the picture's */
	struct zn__crop crop;
	struct zn__taps across, down;
	uint32_t next_in, next_out;    /* rows */
	uint32_t *px;                  /* [w] */
	float *line, *ring, *sum;      /* a row of the source; down.count rows in width of the result; one of those */
	const float **rows;
	size_t cap_line, cap_ring, cap_rows;
};

/* The picture is so large.  -EFBIG. */
int zn__image_begin(struct zn__image *im, uint64_t w, uint64_t h, const char **ret_why);
/* By how much it may be shrunk while it is decoded, 1, 2, 4 or 8, and still has as many pixels as the result. */
uint32_t zn__image_shrink(const struct zn__image *im);
/* It is shrunk by that, and then so large.  Sets im->across and im->down, which say what rows and columns are needed. */
int zn__image_window(struct zn__image *im, uint32_t shrunk, uint32_t w, uint32_t h, const char **ret_why);
/* The next needed row, from the first needed pixel on; may be changed. */
void zn__image_row(struct zn__image *im, uint32_t *px);

/* ---- jpeg.c, png.c: readers ------------------------------------------------------------------------------- */

enum { ZN__IMAGE_SIDE_MAX = 65535 };

/* false: built without the library.  What is read then is -ENOTSUP. */
bool zn__jpeg_is_there(void);
bool zn__png_is_there(void);
int zn__jpeg_new(uint64_t max_pixels, struct zn__jpeg **ret);
void zn__jpeg_free(struct zn__jpeg *j);
int zn__jpeg_read(struct zn__jpeg *j, struct zn__image *im, const void *p, size_t n, const char **ret_why);
int zn__png_read(struct zn__image *im, const void *p, size_t n, const char **ret_why);

#endif
