/* png: the rows of a PNG, by libpng, from the top to the last that is needed. */
#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "data/image.h"

#ifdef ZN_WITH_LIBPNG

#include <png.h>

struct reader {
	png_structp png;
	png_infop info;
	const unsigned char *p, *end;
	jmp_buf away;
	int rc;
	const char *why;
	uint32_t *px;                  /* a row, or of an interlaced one all of them */
	png_bytep *rows;
};

static _Noreturn void leave(struct reader *r, int rc, const char *why)
{
	r->rc = rc;
	r->why = why;
	longjmp(r->away, 1);
}

static void on_error(png_structp png, png_const_charp text)
{
	leave(png_get_error_ptr(png), -EBADMSG, strstr(text, "CRC") ? "a checksum of the PNG is wrong" : "the PNG is damaged");
}

static void on_warning(png_structp png, png_const_charp text)
{
	(void)png, (void)text;
}

static void on_read(png_structp png, png_bytep to, size_t n)
{
	struct reader *r = png_get_io_ptr(png);

	if ((size_t)(r->end - r->p) < n)
		leave(r, -EBADMSG, "the PNG ends before its picture does");
	memcpy(to, r->p, n);
	r->p += n;
}

bool zn__png_is_there(void)
{
	return true;
}

/* Whatever it is, it comes out as 4 bytes a pixel; whether the last of them is transparency or not, nobody looks. */
static void ask_for_pixels(struct reader *r)
{
	png_set_expand(r->png);
	png_set_scale_16(r->png);
	png_set_gray_to_rgb(r->png);
	png_set_filler(r->png, 0xff, PNG_FILLER_AFTER);
}

static void *reserve(struct reader *r, size_t count, size_t size)
{
	void *p = calloc(count, size);

	if (!p)
		leave(r, -ENOMEM, "out of memory");
	return p;
}

static void read_in_order(struct reader *r, struct zn__image *im)
{
	r->px = reserve(r, im->size_w, sizeof(*r->px));
	for (uint32_t y = 0; y < im->down.end; y++) {
		png_read_row(r->png, (png_bytep)r->px, NULL);
		if (y >= im->down.first)
			zn__image_row(im, r->px + im->across.first);
	}
}

/* Its first row is whole only when all have been read. */
static void read_interlaced(struct reader *r, struct zn__image *im)
{
	r->px = reserve(r, (size_t)im->size_w * im->size_h, sizeof(*r->px));
	r->rows = reserve(r, im->size_h, sizeof(*r->rows));
	for (uint32_t y = 0; y < im->size_h; y++)
		r->rows[y] = (png_bytep)(r->px + (size_t)y * im->size_w);
	png_read_image(r->png, r->rows);
	for (uint32_t y = im->down.first; y < im->down.end; y++)
		zn__image_row(im, (uint32_t *)r->rows[y] + im->across.first);
}

static void read_picture(struct reader *r, struct zn__image *im)
{
	bool interlaced;
	int rc;

	png_set_user_limits(r->png, ZN__IMAGE_SIDE_MAX, ZN__IMAGE_SIDE_MAX);
	png_set_read_fn(r->png, r, on_read);
	png_read_info(r->png, r->info);
	rc = zn__image_begin(im, png_get_image_width(r->png, r->info), png_get_image_height(r->png, r->info), &r->why);
	if (rc == 0)
		rc = zn__image_window(im, 1, im->size_w, im->size_h, &r->why);
	if (rc < 0)
		leave(r, rc, r->why);
	ask_for_pixels(r);
	interlaced = png_set_interlace_handling(r->png) > 1;
	png_read_update_info(r->png, r->info);
	if (png_get_rowbytes(r->png, r->info) != (size_t)im->size_w * sizeof(*r->px))
		leave(r, -ENOTSUP, "the PNG is of a kind that is not read here");
	(interlaced ? read_interlaced : read_in_order)(r, im);
}

static int read_png(struct reader *r, struct zn__image *im)
{
	if (setjmp(r->away))
		return r->rc;
	r->why = "out of memory";
	r->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, r, on_error, on_warning);
	r->info = r->png ? png_create_info_struct(r->png) : NULL;
	if (!r->info)
		return -ENOMEM;
	read_picture(r, im);
	return 0;
}

int zn__png_read(struct zn__image *im, const void *p, size_t n, const char **ret_why)
{
	struct reader *r = calloc(1, sizeof(*r));
	int rc;

	*ret_why = "out of memory";
	if (!r)
		return -ENOMEM;
	r->p = p;
	r->end = r->p + n;
	rc = read_png(r, im);
	if (rc < 0)
		*ret_why = r->why;
	png_destroy_read_struct(&r->png, &r->info, NULL);
	free(r->px);
	free(r->rows);
	free(r);
	return rc;
}

#else

bool zn__png_is_there(void)
{
	return false;
}

int zn__png_read(struct zn__image *im, const void *p, size_t n, const char **ret_why)
{
	(void)im, (void)p, (void)n;
	*ret_why = "it is a PNG, and this was built without libpng";
	return -ENOTSUP;
}

#endif
