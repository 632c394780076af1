/* picture KIND W H: a picture on stdout, slopes with some noise, made by the library's own encoder.  KIND is jpeg,
 * progressive, gray, cmyk, png, interlaced or palette.
 */
#include <stdio.h>

#if defined(ZN_WITH_LIBJPEG) && defined(ZN_WITH_LIBPNG)

#include "../unit/decode_help.h"

static const struct { const char *name; struct jpeg_how how; } jpegs[] = {
	{ "jpeg", { 90, 2, 2, false, JCS_RGB, JCS_YCbCr, 3, false } }, { "progressive", { 90, 2, 2, true, JCS_RGB, JCS_YCbCr, 3, false } },
	{ "gray", { 90, 0, 0, false, JCS_GRAYSCALE, JCS_GRAYSCALE, 1, false } }, { "cmyk", { 90, 0, 0, false, JCS_CMYK, JCS_YCCK, 4, false } },
};
static const struct { const char *name; int type, interlace; uint32_t channels; } pngs[] = {
	{ "png", PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, 3 }, { "interlaced", PNG_COLOR_TYPE_RGB, PNG_INTERLACE_ADAM7, 3 },
	{ "palette", PNG_COLOR_TYPE_PALETTE, PNG_INTERLACE_NONE, 1 },
};

static struct bytes make(const char *kind, uint32_t w, uint32_t h)
{
	for (size_t i = 0; i < sizeof(jpegs) / sizeof(*jpegs); i++)
		if (!strcmp(jpegs[i].name, kind))
			return make_jpeg(make_pixels(w, h, (uint32_t)jpegs[i].how.channels, 1), w, h, jpegs[i].how);
	for (size_t i = 0; i < sizeof(pngs) / sizeof(*pngs); i++)
		if (!strcmp(pngs[i].name, kind)) {
			unsigned char *px = make_pixels(w, h, pngs[i].channels, 1);
			for (size_t k = 0; pngs[i].channels == 1 && k < (size_t)w * h; k++)
				px[k] &= 3; /* the palette has 4 */
			return make_png(px, (size_t)w * pngs[i].channels, w, h, pngs[i].type, 8, pngs[i].interlace);
		}
	return (struct bytes){ NULL, 0 };
}

int main(int argc, char **argv)
{
	struct bytes b = { NULL, 0 };

	if (argc == 4)
		b = make(argv[1], (uint32_t)atoi(argv[2]), (uint32_t)atoi(argv[3]));
	return b.p && fwrite(b.p, 1, b.n, stdout) == b.n && fflush(stdout) == 0 ? 0 : 1;
}

#else

int main(void)
{
	fputs("picture: built without libjpeg-turbo or libpng\n", stderr);
	return 1;
}

#endif
