#include "data/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "data/decode_kinds.h"

enum { RING_BYTES_MAX = 256 << 20 };

int zn__image_begin(struct zn__image *im, uint64_t w, uint64_t h, const char **ret_why)
{
	if (w == 0 || h == 0) {
		*ret_why = "the picture has no pixels";
		return -EBADMSG;
	}
	if (w > ZN__IMAGE_SIDE_MAX || h > ZN__IMAGE_SIDE_MAX || w * h > im->opts->max_pixels) {
		*ret_why = "the picture has more pixels than are allowed";
		return -EFBIG;
	}
	im->size_w = (uint32_t)w;
	im->size_h = (uint32_t)h;
	im->crop = zn__crop_choose(im->opts, im->size_w, im->size_h, im->random);
	return 0;
}

uint32_t zn__image_shrink(const struct zn__image *im)
{
	uint32_t by = 8;

	while (by > 1 && (im->crop.box.w < (double)im->opts->w * by || im->crop.box.h < (double)im->opts->h * by))
		by /= 2;
	return by;
}

static int reserve(void **p, size_t *cap, size_t bytes)
{
	void *more;

	if (bytes <= *cap)
		return 0;
	more = realloc(*p, bytes);
	if (!more)
		return -ENOMEM;
	*p = more;
	*cap = bytes;
	return 0;
}

/* Memory of the rows, 4 floats a pixel. */
static int reserve_rows(struct zn__image *im, const char **ret_why)
{
	size_t row = (size_t)im->opts->w * 4 * sizeof(float), ring = row * im->down.count;

	*ret_why = "the picture is scaled down too far";
	if (ring > RING_BYTES_MAX)
		return -EFBIG;
	*ret_why = "out of memory";
	if (reserve((void **)&im->line, &im->cap_line, (im->across.end - im->across.first) * 4 * sizeof(float)) < 0 ||
	    reserve((void **)&im->ring, &im->cap_ring, ring) < 0 ||
	    reserve((void **)&im->rows, &im->cap_rows, im->down.count * sizeof(*im->rows)) < 0)
		return -ENOMEM;
	return 0;
}

int zn__image_window(struct zn__image *im, uint32_t shrunk, uint32_t w, uint32_t h, const char **ret_why)
{
	struct zn__box b = im->crop.box, in = im->crop.within;
	double by = shrunk;

	*ret_why = "out of memory";
	if (zn__taps_make(&im->across, im->opts->w, b.x / by, b.w / by, in.x / by, (in.x + in.w) / by, w) < 0 ||
	    zn__taps_make(&im->down, im->opts->h, b.y / by, b.h / by, in.y / by, (in.y + in.h) / by, h) < 0)
		return -ENOMEM;
	im->next_in = im->down.first;
	im->next_out = 0;
	return im->across.is_copy && im->down.is_copy ? 0 : reserve_rows(im, ret_why);
}

static void mirror(uint32_t *px, uint32_t w)
{
	for (uint32_t a = 0, b = w - 1; a < b; a++, b--) {
		uint32_t t = px[a];
		px[a] = px[b];
		px[b] = t;
	}
}

static void put_row(struct zn__image *im, uint32_t *px)
{
	if (im->crop.flip)
		mirror(px, im->opts->w);
	zn__pack_row(im->pack, px, im->next_out++, im->out);
}

static float *ring_row(const struct zn__image *im, uint32_t y)
{
	return im->ring + (size_t)(y % im->down.count) * im->opts->w * 4;
}

static void make_row(struct zn__image *im)
{
	const struct zn__taps *t = &im->down;
	uint32_t i = im->next_out;

	for (uint32_t k = 0; k < t->count; k++)
		im->rows[k] = ring_row(im, t->at[i] + k);
	zn__pixels_down(im->rows, &t->weight[(size_t)i * t->width], t->count, (size_t)im->opts->w * 4, im->sum);
	zn__pixels_round(im->sum, im->opts->w, im->px);
	put_row(im, im->px);
}

void zn__image_row(struct zn__image *im, uint32_t *px)
{
	if (im->across.is_copy && im->down.is_copy) {
		put_row(im, px);
		return;
	}
	zn__pixels_widen(px, im->across.end - im->across.first, im->line);
	zn__pixels_across(&im->across, im->line, ring_row(im, im->next_in++));
	while (im->next_out < im->down.n && im->down.at[im->next_out] + im->down.count <= im->next_in)
		make_row(im);
}

/* ---- the decoder ------------------------------------------------------------------------------------------ */

struct image {
	struct zn_decoder d;
	struct zn__image_opts opts;
	struct zn__pack pack;
};

static void hand_free(void *hand)
{
	struct zn__image *im = hand;

	zn__jpeg_free(im->jpeg);
	zn__taps_done(&im->across);
	zn__taps_done(&im->down);
	free(im->px);
	free(im->sum);
	free(im->line);
	free(im->ring);
	free(im->rows);
	free(im);
}

static int hand_new(const struct zn_decoder *d, void **ret)
{
	const struct image *of = (const struct image *)d;
	struct zn__image *im = calloc(1, sizeof(*im));
	int rc = im && zn__jpeg_is_there() ? zn__jpeg_new(of->opts.max_pixels, &im->jpeg) : 0;

	if (!im || rc < 0) {
		free(im);
		return -ENOMEM;
	}
	im->opts = &of->opts;
	im->pack = &of->pack;
	im->px = calloc(of->opts.w, sizeof(*im->px));
	im->sum = calloc((size_t)of->opts.w * 4, sizeof(*im->sum));
	if (!im->px || !im->sum) {
		hand_free(im);
		return -ENOMEM;
	}
	*ret = im;
	return 0;
}

static int decode(const struct zn_decoder *d, void *hand, const void *p, size_t n, uint64_t random, void *out,
                  const char **ret_why)
{
	struct zn__image *im = hand;

	(void)d;
	im->random = random;
	im->out = out;
	if (n >= 3 && !memcmp(p, "\xff\xd8\xff", 3))
		return zn__jpeg_read(im->jpeg, im, p, n, ret_why);
	if (n >= 8 && !memcmp(p, "\x89PNG\r\n\x1a\n", 8))
		return zn__png_read(im, p, n, ret_why);
	*ret_why = n ? "it is neither a JPEG nor a PNG" : "it is empty";
	return -EBADMSG;
}

static const struct zn_decoder_ops ops = { .hand_new = hand_new, .hand_free = hand_free, .decode = decode };

static struct zn_shape shape_of(const struct zn__image_opts *o)
{
	struct zn_shape chw = { o->dtype, 3, { o->channels, o->h, o->w } };
	struct zn_shape hwc = { o->dtype, 3, { o->h, o->w, o->channels } };

	return o->is_hwc ? hwc : chw;
}

int zn__decode_image_new(const char *field, char *opts, struct zn_decoder **ret, struct zn_err *err)
{
	struct image *i = calloc(1, sizeof(*i));
	struct zn_shape s;
	int rc = i ? zn__image_parse(field, opts, &i->opts, err) : zn_err_set(err, -ENOMEM, "out of memory");

	if (rc < 0) {
		free(i);
		return rc;
	}
	i->d.ops = &ops;
	zn__pack_init(&i->pack, &i->opts);
	s = shape_of(&i->opts);
	zn__decoder_fix(&i->d, &s);
	*ret = &i->d;
	return 0;
}
