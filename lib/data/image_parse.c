#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/number.h"
#include "base/units.h"
#include "data/decode_kinds.h"
#include "data/image.h"

enum { SIDE_MAX = 16384 };                     /* of what is made */

struct parse {
	const char *field;
	struct zn__image_opts *o;
	bool has_mean, has_area, has_aspect;
	struct zn_err *err;
};

static int bad(const struct parse *p, const char *option, const char *why)
{
	return zn_err_set(p->err, -EINVAL, "'%s': '%s' %s", p->field, option, why);
}

/* A, or A/B or A/B/C: the number of numbers, or -EINVAL. */
static int parse_numbers(const char *text, double *to, int max)
{
	char *end;
	int n = 0;

	for (;; text = end + 1) {
		if (n == max || strchr(" \t\n", *text))
			return -EINVAL;
		to[n++] = zn_strtod(text, &end);
		if (end == text || !isfinite(to[n - 1]))
			return -EINVAL;
		if (!*end)
			return n;
		if (*end != '/')
			return -EINVAL;
	}
}

static int parse_channels(struct parse *p, const char *option, const char *value, double to[3])
{
	int n = parse_numbers(value, to, 3);

	if (n != 1 && n != 3)
		return bad(p, option, "is not one number or three, as in 0.485/0.456/0.406");
	if (n == 1)
		to[1] = to[2] = to[0];
	p->has_mean = true;
	return 0;
}

static int parse_mean(struct parse *p, const char *option, const char *value)
{
	return parse_channels(p, option, value, p->o->mean);
}

static int parse_std(struct parse *p, const char *option, const char *value)
{
	int rc = parse_channels(p, option, value, p->o->std);

	for (int c = 0; rc == 0 && c < 3; c++)
		if (!(p->o->std[c] >= 1e-6))
			return bad(p, option, "is to be more than 0");
	return rc;
}

static int parse_range(struct parse *p, const char *option, const char *value, double to[2], double max)
{
	if (parse_numbers(value, to, 2) != 2 || !(to[0] > 0 && to[0] <= to[1] && to[1] <= max))
		return bad(p, option, "is not from a lower to a higher number, as in 0.08/1");
	return 0;
}

static int parse_area(struct parse *p, const char *option, const char *value)
{
	p->has_area = true;
	return parse_range(p, option, value, p->o->area, 1);
}

static int parse_aspect(struct parse *p, const char *option, const char *value)
{
	p->has_aspect = true;
	return parse_range(p, option, value, p->o->aspect, 1000);
}

static int parse_resize(struct parse *p, const char *option, const char *value)
{
	uint32_t n;

	if (zn__dims_parse(value, &n, 1) < 0 || n > SIDE_MAX)
		return bad(p, option, "is no number of pixels up to 16384");
	p->o->resize = n;
	return 0;
}

static int parse_crop(struct parse *p, const char *option, const char *value)
{
	static const char *const names[] = { [ZN__CROP_CENTER] = "center", [ZN__CROP_RANDOM] = "random",
	                                     [ZN__CROP_RESIZED] = "resized", [ZN__CROP_NONE] = "none" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(names[i], value)) {
			p->o->crop = (enum zn__crop_kind)i;
			return 0;
		}
	return bad(p, option, "is none of crop=center, random, resized and none");
}

static int parse_pixels(struct parse *p, const char *option, const char *value)
{
	if (zn_parse_bytes(value, &p->o->max_pixels, NULL) < 0 || !p->o->max_pixels)
		return bad(p, option, "is no number of pixels, as in 100M");
	return 0;
}

static const struct { const char *name; int (*parse)(struct parse *p, const char *option, const char *value); } valued[] = {
	{ "resize", parse_resize }, { "crop", parse_crop }, { "area", parse_area }, { "aspect", parse_aspect },
	{ "mean", parse_mean }, { "std", parse_std }, { "pixels", parse_pixels },
};

static int parse_word(struct parse *p, const char *word)
{
	static const enum zn_dtype dtypes[] = { ZN_DTYPE_U8, ZN_DTYPE_F32, ZN_DTYPE_BF16, ZN_DTYPE_F16 };

	for (size_t i = 0; i < sizeof(dtypes) / sizeof(*dtypes); i++)
		if (!strcmp(zn_dtype_name(dtypes[i]), word)) {
			p->o->dtype = dtypes[i];
			return 0;
		}
	if (!strcmp(word, "chw"))
		p->o->is_hwc = false;
	else if (!strcmp(word, "hwc"))
		p->o->is_hwc = true;
	else if (!strcmp(word, "gray"))
		p->o->channels = 1;
	else if (!strcmp(word, "flip"))
		p->o->flips = true;
	else
		return bad(p, word, "is no option of image: u8, f32, bf16, f16, chw, hwc, gray, flip, resize=, crop=, area=, "
		           "aspect=, mean=, std=, pixels=");
	return 0;
}

static int parse_option(struct parse *p, const char *option)
{
	const char *equals = strchr(option, '=');
	size_t n = equals ? (size_t)(equals - option) : 0;

	for (size_t i = 0; equals && i < sizeof(valued) / sizeof(*valued); i++)
		if (strlen(valued[i].name) == n && !memcmp(valued[i].name, option, n))
			return valued[i].parse(p, option, equals + 1);
	return parse_word(p, option);
}

static int parse_size(struct parse *p, const char *text)
{
	uint32_t dims[2];

	if (!text || zn__dims_parse(text, dims, 2) != 2 || dims[0] > SIDE_MAX || dims[1] > SIDE_MAX)
		return zn_err_set(p->err, -EINVAL, "'%s': an image needs its height and width first, up to 16384 each, as in "
		                  "image:224x224", p->field);
	p->o->h = dims[0];
	p->o->w = dims[1];
	return 0;
}

/* What does not go together. */
static int check(const struct parse *p)
{
	const struct zn__image_opts *o = p->o;

	if (o->resize && (o->crop == ZN__CROP_NONE || o->crop == ZN__CROP_RESIZED))
		return bad(p, "resize", "goes with crop=center and crop=random only");
	if (o->resize && (o->resize < o->w || o->resize < o->h))
		return bad(p, "resize", "leaves less than the crop: it is to be its longer side at least");
	if ((p->has_area || p->has_aspect) && o->crop != ZN__CROP_RESIZED)
		return bad(p, p->has_area ? "area" : "aspect", "goes with crop=resized only");
	if (p->has_mean && o->dtype == ZN_DTYPE_U8)
		return bad(p, "mean, std", "need f32, bf16 or f16");
	return 0;
}

static bool ends_in(const char *field, const char *end)
{
	size_t n = strlen(field), k = strlen(end);

	return n >= k && !strcasecmp(field + n - k, end);
}

static int check_library(const struct parse *p)
{
	const char *lacks = NULL;

	if (!zn__jpeg_is_there() && (!zn__png_is_there() || ends_in(p->field, "jpg") || ends_in(p->field, "jpeg")))
		lacks = "libjpeg-turbo";
	if (!zn__png_is_there() && ends_in(p->field, "png"))
		lacks = "libpng";
	return lacks ? zn_err_set(p->err, -ENOTSUP, "'%s' can't become an image: this was built without %s", p->field, lacks) : 0;
}

int zn__image_parse(const char *field, char *opts, struct zn__image_opts *ret, struct zn_err *err)
{
	struct zn__image_opts o = { .channels = 3, .area = { 0.08, 1 }, .aspect = { 3.0 / 4, 4.0 / 3 }, .std = { 1, 1, 1 },
	                            .max_pixels = 64 << 20 };
	struct parse p = { .field = field, .o = &o, .err = err };
	char *next = opts, *option = next ? strsep(&next, ",") : NULL;
	int rc = parse_size(&p, option);

	while (rc == 0 && (option = strsep(&next, ",")))
		rc = parse_option(&p, option);
	if (rc == 0)
		rc = check(&p);
	if (rc == 0)
		rc = check_library(&p);
	if (rc == 0)
		*ret = o;
	return rc;
}
