/* crop: which part of a picture is taken, and whether it is mirrored: a pure function of sizes and a number. */
#include <math.h>

#include "base/random.h"
#include "data/image.h"

/* From 0 to below 1. */
static double draw(uint64_t *state)
{
	return (double)(zn_random(state) >> 11) * 0x1p-53;
}

/* 0 to n. */
static double draw_place(uint64_t *state, double n)
{
	return floor(draw(state) * (floor(n) + 1));
}

static struct zn__box whole(uint32_t w, uint32_t h)
{
	return (struct zn__box){ 0, 0, w, h };
}

/* As torchvision's Resize(N) and CenterCrop or RandomCrop: the longer side is rounded down, the crop begins at a pixel. */
static struct zn__box crop_after_resize(const struct zn__image_opts *o, uint32_t w, uint32_t h, uint64_t *state)
{
	double shorter = w < h ? w : h;
	double new_w = floor((double)o->resize * w / shorter), new_h = floor((double)o->resize * h / shorter);
	double x, y, fx = w / new_w, fy = h / new_h;

	if (o->crop == ZN__CROP_RANDOM) {
		x = draw_place(state, new_w - o->w);
		y = draw_place(state, new_h - o->h);
	} else {
		x = nearbyint((new_w - o->w) / 2);
		y = nearbyint((new_h - o->h) / 2);
	}
	return (struct zn__box){ x * fx, y * fy, o->w * fx, o->h * fy };
}

/* The largest of the result's aspect that fits. */
static struct zn__box largest(const struct zn__image_opts *o, uint32_t w, uint32_t h, uint64_t *state)
{
	double part = fmin((double)w / o->w, (double)h / o->h);
	struct zn__box b = { .w = fmin(part * o->w, w), .h = fmin(part * o->h, h) };
	bool random = o->crop == ZN__CROP_RANDOM;

	b.x = (w - b.w) * (random ? draw(state) : 0.5);
	b.y = (h - b.h) * (random ? draw(state) : 0.5);
	return b;
}

/* Where none of the drawn ones fitted: the middle, of the nearest aspect that is asked for. */
static struct zn__box resized_fallback(const struct zn__image_opts *o, uint32_t w, uint32_t h)
{
	double aspect = (double)w / h;
	struct zn__box b = whole(w, h);

	if (aspect < o->aspect[0])
		b.h = fmax(1, fmin(h, nearbyint(w / o->aspect[0])));
	else if (aspect > o->aspect[1])
		b.w = fmax(1, fmin(w, nearbyint(h * o->aspect[1])));
	b.x = floor((w - b.w) / 2);
	b.y = floor((h - b.h) / 2);
	return b;
}

/* As torchvision's RandomResizedCrop: the area evenly, the aspect evenly in its logarithm, ten tries. */
static struct zn__box resized(const struct zn__image_opts *o, uint32_t w, uint32_t h, uint64_t *state)
{
	double low = log(o->aspect[0]), high = log(o->aspect[1]);

	for (int i = 0; i < 10; i++) {
		double area = (double)w * h * (o->area[0] + (o->area[1] - o->area[0]) * draw(state));
		double aspect = exp(low + (high - low) * draw(state));
		double bw = nearbyint(sqrt(area * aspect)), bh = nearbyint(sqrt(area / aspect));
		if (bw < 1 || bh < 1 || bw > w || bh > h)
			continue;
		double x = draw_place(state, w - bw);
		return (struct zn__box){ x, draw_place(state, h - bh), bw, bh };
	}
	return resized_fallback(o, w, h);
}

struct zn__crop zn__crop_choose(const struct zn__image_opts *o, uint32_t w, uint32_t h, uint64_t random)
{
	struct zn__crop c = { .box = whole(w, h), .within = whole(w, h) };

	/* Drawn first, so that it does not depend on how often the place had to be. */
	c.flip = zn_random(&random) >> 63 && o->flips;
	if (o->crop == ZN__CROP_RESIZED)
		c.box = c.within = resized(o, w, h, &random);
	else if (o->crop != ZN__CROP_NONE)
		c.box = (o->resize ? crop_after_resize : largest)(o, w, h, &random);
	return c;
}
