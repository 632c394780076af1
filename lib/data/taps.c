/* taps: which pixels of a line make a pixel of the scaled line, and with what weight.
 *
 * A triangle over the pixel's place, as wide as two pixels of whichever line has the larger ones: between two pixels where the
 * line is made longer, a smooth mean where it is made shorter (Pillow's BILINEAR).
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/image.h"

static int reserve(struct zn__taps *t, uint32_t n, size_t weights)
{
	if (n > t->cap_n) {
		uint32_t *at = realloc(t->at, n * sizeof(*at));
		if (!at)
			return -ENOMEM;
		t->at = at;
		t->cap_n = n;
	}
	if (weights > t->cap_weight) {
		float *weight = realloc(t->weight, weights * sizeof(*weight));
		if (!weight)
			return -ENOMEM;
		t->weight = weight;
		t->cap_weight = weights;
	}
	return 0;
}

static double clamp(double v, double low, double high)
{
	return v < low ? low : v > high ? high : v;
}

/* Weights of the pixels from to to, which add up to 1; without the zeros at the ends.  How many they are. */
static uint32_t weigh(struct zn__taps *t, uint32_t i, uint32_t from, uint32_t to, double center, double scale)
{
	float *w = &t->weight[(size_t)i * t->width];
	double sum = 0;
	uint32_t n = 0;

	for (uint32_t x = from; x < to; x++) {
		double v = fmax(1 - fabs((x + 0.5 - center) / scale), 0);
		if (v <= 1e-9 && n == 0 && x + 1 < to) {
			from++;
			continue;
		}
		w[n++] = (float)v;
		sum += v;
	}
	while (n > 1 && w[n - 1] <= 1e-9f)
		n--;
	for (uint32_t k = 0; k < n; k++)
		w[k] = sum > 0 ? (float)(w[k] / sum) : 1.0f / (float)n;
	memset(w + n, 0, (t->width - n) * sizeof(*w));
	t->at[i] = from;
	return n;
}

/* Of count weights each, so that the loops over them are of one length; those that would lie behind the end move forward. */
static void even_out(struct zn__taps *t)
{
	t->is_copy = t->count == 1;
	for (uint32_t i = 0; i < t->n; i++) {
		float *w = &t->weight[(size_t)i * t->width];
		uint32_t by = t->at[i] + t->count > t->end ? t->at[i] + t->count - t->end : 0;
		if (by) {
			memmove(w + by, w, (t->count - by) * sizeof(*w));
			memset(w, 0, by * sizeof(*w));
			t->at[i] -= by;
		}
		t->is_copy &= t->at[i] == t->at[0] + i;
	}
	t->first = t->at[0];
}

static int make(struct zn__taps *t, uint32_t n, const struct zn__taps_of *of)
{
	double step = of->length / n, scale = fmax(step, 1);
	uint32_t width = (uint32_t)ceil(scale * 2) + 2;
	/* Never empty, whatever the fractions came to. */
	double first = clamp(floor(of->low), 0, of->size - 1), last = clamp(ceil(of->high), first + 1, of->size);
	int rc = reserve(t, n, (size_t)n * width);

	if (rc < 0)
		return rc;
	t->n = n;
	t->width = width;
	t->count = t->end = 0;
	for (uint32_t i = 0; i < n; i++) {
		double center = of->start + (i + 0.5) * step;
		double from = clamp(floor(center - scale + 0.5), first, last - 1);
		double to = clamp(floor(center + scale + 0.5), from + 1, last);
		uint32_t count = weigh(t, i, (uint32_t)from, (uint32_t)to, center, scale);
		t->count = count > t->count ? count : t->count;
		t->end = t->at[i] + count > t->end ? t->at[i] + count : t->end;
	}
	even_out(t);
	return 0;
}

int zn__taps_make(struct zn__taps *t, uint32_t n, double start, double length, double low, double high, uint32_t size)
{
	struct zn__taps_of of = { start, length, low, high, size };
	int rc;

	if (t->n == n && !memcmp(&t->of, &of, sizeof(of)))
		return 0;                      /* as for the last picture: of the same size, and cropped in the middle */
	t->n = 0;
	rc = make(t, n, &of);
	if (rc == 0)
		t->of = of;
	return rc;
}

void zn__taps_done(struct zn__taps *t)
{
	free(t->at);
	free(t->weight);
	*t = (struct zn__taps){ 0 };
}
