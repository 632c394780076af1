/* jpeg: the rows of a JPEG, by libjpeg-turbo.  Only what a crop needs is decoded: rows above it are skipped, those below never
 * looked at, columns beside it not made, and where a half, a quarter or an eighth of the pixels will do no more come out of the
 * transform.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/image.h"

#ifdef ZN_WITH_LIBJPEG
#include <jerror.h>
#include <jpeglib.h>
#endif

#if defined(ZN_WITH_LIBJPEG) && defined(LIBJPEG_TURBO_VERSION)

/* Of a progressive JPEG.  Encoders make about ten; each costs a walk over the whole picture, however few bytes it is. */
enum { SCANS_MAX = 100 };
/* Fancy upsampling looks at its neighbours: so many columns more, and a pixel is the same whatever the crop. */
enum { MARGIN = 2 };
enum { ROWS = 16 };                            /* at a time */

struct zn__jpeg {
	struct jpeg_decompress_struct d;
	struct jpeg_error_mgr err;
	struct jpeg_progress_mgr progress;
	long max_bytes;
	jmp_buf away;
	int rc;
	const char *why;
	uint32_t *line;                /* ROWS of them; kept from one picture to the next */
	uint32_t x;                    /* where a line begins */
	size_t cap_line;
};

static _Noreturn void leave(struct zn__jpeg *j, int rc, const char *why)
{
	j->rc = rc;
	j->why = why;
	longjmp(j->away, 1);
}

static const struct { int code, rc; const char *why; } reasons[] = {
	{ JERR_INPUT_EOF, -EBADMSG, "the JPEG ends before its picture does" },
	{ JERR_INPUT_EMPTY, -EBADMSG, "the JPEG ends before its picture does" },
	{ JWRN_JPEG_EOF, -EBADMSG, "the JPEG ends before its picture does" },
	{ JERR_NO_IMAGE, -EBADMSG, "the JPEG has no picture in it" },
	{ JERR_OUT_OF_MEMORY, -ENOMEM, "out of memory" },
	{ JERR_NO_BACKING_STORE, -EFBIG, "the JPEG needs more memory than its size allows" },
	{ JERR_SOF_UNSUPPORTED, -ENOTSUP, "the JPEG is of a kind that libjpeg does not read" },
	{ JERR_ARITH_NOTIMPL, -ENOTSUP, "the JPEG is of a kind that libjpeg does not read" },
	{ JERR_BAD_PRECISION, -ENOTSUP, "the JPEG does not have 8 bits a channel" },
	{ JERR_BAD_J_COLORSPACE, -ENOTSUP, "the JPEG's colours can't be made red, green and blue" },
	{ JERR_CONVERSION_NOTIMPL, -ENOTSUP, "the JPEG's colours can't be made red, green and blue" },
	{ JERR_COMPONENT_COUNT, -ENOTSUP, "the JPEG's colours can't be made red, green and blue" },
};

static _Noreturn void leave_by_code(struct zn__jpeg *j, int code)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
		if (reasons[i].code == code)
			leave(j, reasons[i].rc, reasons[i].why);
	leave(j, -EBADMSG, "the JPEG is damaged");
}

static void on_error(j_common_ptr c)
{
	leave_by_code((struct zn__jpeg *)c, c->err->msg_code);
}

/* A level below 0 is a warning: what libjpeg would have made up goes to no training.  Those that say nothing about the pixels
 * are common in real sets.
 */
static void on_message(j_common_ptr c, int level)
{
	int code = c->err->msg_code;

	if (level < 0 && code != JWRN_EXTRANEOUS_DATA && code != JWRN_ADOBE_XFORM && code != JWRN_JFIF_MAJOR &&
	    code != JWRN_TOO_MUCH_DATA)
		leave_by_code((struct zn__jpeg *)c, code);
}

static void on_progress(j_common_ptr c)
{
	if (((j_decompress_ptr)c)->input_scan_number > SCANS_MAX)
		leave((struct zn__jpeg *)c, -EFBIG, "the JPEG has more scans than any encoder makes");
}

bool zn__jpeg_is_there(void)
{
	return true;
}

int zn__jpeg_new(uint64_t max_pixels, struct zn__jpeg **ret)
{
	struct zn__jpeg *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	j->d.err = jpeg_std_error(&j->err);
	j->err.error_exit = on_error;
	j->err.emit_message = on_message;
	j->progress.progress_monitor = on_progress;
	/* Of a progressive JPEG all coefficients are kept, two bytes each, in up to four channels. */
	j->max_bytes = (long)((max_pixels < 1 << 30 ? max_pixels : 1 << 30) * 8 + (1 << 20));
	*ret = j;
	return 0;
}

void zn__jpeg_free(struct zn__jpeg *j)
{
	if (!j)
		return;
	free(j->line);
	free(j);
}

static bool is_cmyk(const struct zn__jpeg *j)
{
	return j->d.jpeg_color_space == JCS_CMYK || j->d.jpeg_color_space == JCS_YCCK;
}

/* Ink to light.  Adobe writes how much light there is, others how much ink. */
static void cmyk_to_rgb(struct zn__jpeg *j, uint32_t *px, uint32_t n)
{
	uint32_t ink = j->d.saw_Adobe_marker ? 0 : 0xffffffff;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t v = px[i] ^ ink, k = v >> 24;
		px[i] = ((v & 255) * k + 127) / 255 | ((v >> 8 & 255) * k + 127) / 255 << 8 | ((v >> 16 & 255) * k + 127) / 255 << 16;
	}
}

static void start(struct zn__jpeg *j, struct zn__image *im)
{
	uint32_t by = zn__image_shrink(im);
	int rc;

	j->d.out_color_space = is_cmyk(j) ? JCS_CMYK : JCS_EXT_RGBX;
	j->d.scale_num = 1;
	j->d.scale_denom = by;
	jpeg_calc_output_dimensions(&j->d);
	rc = zn__image_window(im, by, j->d.output_width, j->d.output_height, &j->why);
	if (rc < 0)
		leave(j, rc, j->why);
	jpeg_start_decompress(&j->d);
}

/* Only the columns that are needed, as far as libjpeg can leave the others out. */
static void narrow(struct zn__jpeg *j, const struct zn__image *im)
{
	JDIMENSION x = im->across.first < MARGIN ? 0 : im->across.first - MARGIN, end = im->across.end + MARGIN, w;

	end = end < j->d.output_width ? end : j->d.output_width;
	w = end - x;
	if (w < j->d.output_width)
		jpeg_crop_scanline(&j->d, &x, &w);
	else
		x = 0;
	j->x = x;
}

static void reserve_line(struct zn__jpeg *j)
{
	size_t bytes = (size_t)j->d.output_width * ROWS * sizeof(*j->line);
	void *more;

	if (bytes <= j->cap_line)
		return;
	more = realloc(j->line, bytes);
	if (!more)
		leave(j, -ENOMEM, "out of memory");
	j->line = more;
	j->cap_line = bytes;
}

/* As many as libjpeg has ready, up to those that are needed. */
static uint32_t read_some(struct zn__jpeg *j, uint32_t end)
{
	uint32_t n = end - j->d.output_scanline;
	JSAMPROW rows[ROWS];

	for (uint32_t i = 0; i < ROWS; i++)
		rows[i] = (JSAMPROW)(j->line + (size_t)i * j->d.output_width);
	n = jpeg_read_scanlines(&j->d, rows, n < ROWS ? n : ROWS);
	if (n == 0)
		leave(j, -EBADMSG, "the JPEG is damaged");
	if (is_cmyk(j))
		cmyk_to_rgb(j, j->line, n * j->d.output_width);
	return n;
}

static void read_rows(struct zn__jpeg *j, struct zn__image *im)
{
	uint32_t beside = im->across.first - j->x;

	if (im->down.first && jpeg_skip_scanlines(&j->d, im->down.first) != im->down.first)
		leave(j, -EBADMSG, "the JPEG is damaged");
	while (j->d.output_scanline < im->down.end) {
		uint32_t n = read_some(j, im->down.end);
		for (uint32_t i = 0; i < n; i++)
			zn__image_row(im, j->line + (size_t)i * j->d.output_width + beside);
	}
}

int zn__jpeg_read(struct zn__jpeg *j, struct zn__image *im, const void *p, size_t n, const char **ret_why)
{
	int rc;

	if (setjmp(j->away)) {
		jpeg_destroy_decompress(&j->d);
		*ret_why = j->why;
		return j->rc;
	}
	/* Anew for each: libjpeg keeps the tables of the last one for one that has none. */
	jpeg_create_decompress(&j->d);
	j->d.progress = &j->progress;
	j->d.mem->max_memory_to_use = j->max_bytes;
	jpeg_mem_src(&j->d, p, n);
	jpeg_read_header(&j->d, TRUE);
	rc = zn__image_begin(im, j->d.image_width, j->d.image_height, &j->why);
	if (rc < 0)
		leave(j, rc, j->why);
	start(j, im);
	narrow(j, im);
	reserve_line(j);
	read_rows(j, im);
	jpeg_destroy_decompress(&j->d);
	return 0;
}

#else

bool zn__jpeg_is_there(void)
{
	return false;
}

int zn__jpeg_new(uint64_t max_pixels, struct zn__jpeg **ret)
{
	(void)max_pixels, (void)ret;
	return -ENOTSUP;
}

void zn__jpeg_free(struct zn__jpeg *j)
{
	(void)j;
}

int zn__jpeg_read(struct zn__jpeg *j, struct zn__image *im, const void *p, size_t n, const char **ret_why)
{
	(void)j, (void)im, (void)p, (void)n;
	*ret_why = "it is a JPEG, and this was built without libjpeg-turbo";
	return -ENOTSUP;
}

#endif
