/* decode_help: pictures made by the libraries' own encoders, and decoded whole by libjpeg, for decode.c. */
#ifndef ZN_TESTS_DECODE_HELP_H
#define ZN_TESTS_DECODE_HELP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>

#include "base/random.h"

struct bytes { unsigned char *p; size_t n; };

/* Slopes that wrap around, with some noise. */
static inline unsigned char *make_pixels(uint32_t w, uint32_t h, uint32_t channels, uint64_t seed)
{
	unsigned char *p = malloc((size_t)w * h * channels);

	for (uint32_t y = 0; y < h; y++)
		for (uint32_t x = 0; x < w; x++)
			for (uint32_t c = 0; c < channels; c++)
				p[((size_t)y * w + x) * channels + c] = (unsigned char)(x * 2 * (c + 1) / 3 + y + (zn_random(&seed) & 15));
	return p;
}

struct jpeg_how { int quality, h, v; bool progressive; J_COLOR_SPACE in, to; int channels; bool bare; /* without tables */ };

static inline struct bytes make_jpeg(const unsigned char *px, uint32_t w, uint32_t h, struct jpeg_how how)
{
	struct jpeg_compress_struct c;
	struct jpeg_error_mgr err;
	unsigned char *out = NULL;
	unsigned long n = 0;

	c.err = jpeg_std_error(&err);
	jpeg_create_compress(&c);
	jpeg_mem_dest(&c, &out, &n);
	c.image_width = w;
	c.image_height = h;
	c.input_components = how.channels;
	c.in_color_space = how.in;
	jpeg_set_defaults(&c);
	jpeg_set_colorspace(&c, how.to);
	jpeg_set_quality(&c, how.quality, TRUE);
	if (how.h) {
		c.comp_info[0].h_samp_factor = how.h;
		c.comp_info[0].v_samp_factor = how.v;
	}
	if (how.progressive)
		jpeg_simple_progression(&c);
	if (how.bare)
		jpeg_suppress_tables(&c, TRUE);
	jpeg_start_compress(&c, !how.bare);
	while (c.next_scanline < h) {
		JSAMPROW row = (JSAMPROW)px + (size_t)c.next_scanline * w * (unsigned)how.channels;
		jpeg_write_scanlines(&c, &row, 1);
	}
	jpeg_finish_compress(&c);
	jpeg_destroy_compress(&c);
	return (struct bytes){ out, n };
}

/* All of it, shrunk by that much, as space has it. */
static inline unsigned char *whole_jpeg(struct bytes j, unsigned shrink, J_COLOR_SPACE space, uint32_t *ret_w, uint32_t *ret_h)
{
	struct jpeg_decompress_struct d;
	struct jpeg_error_mgr err;
	unsigned char *p;

	d.err = jpeg_std_error(&err);
	jpeg_create_decompress(&d);
	jpeg_mem_src(&d, j.p, j.n);
	jpeg_read_header(&d, TRUE);
	d.out_color_space = space;
	d.scale_num = 1;
	d.scale_denom = shrink;
	jpeg_start_decompress(&d);
	*ret_w = d.output_width;
	*ret_h = d.output_height;
	size_t row_bytes = (size_t)d.output_width * (unsigned)d.output_components;
	p = malloc(row_bytes * d.output_height);
	while (d.output_scanline < d.output_height) {
		JSAMPROW row = p + d.output_scanline * row_bytes;
		jpeg_read_scanlines(&d, &row, 1);
	}
	jpeg_finish_decompress(&d);
	jpeg_destroy_decompress(&d);
	return p;
}

struct png_out { struct bytes b; size_t cap; };

static inline void png_put(png_structp png, png_bytep p, size_t n)
{
	struct png_out *o = png_get_io_ptr(png);

	if (o->b.n + n > o->cap) {
		o->cap = (o->b.n + n) * 2;
		o->b.p = realloc(o->b.p, o->cap);
	}
	memcpy(o->b.p + o->b.n, p, n);
	o->b.n += n;
}

static inline void png_nothing(png_structp png)
{
	(void)png;
}

static const png_color palette[4] = { { 1, 2, 3 }, { 250, 0, 9 }, { 0, 128, 255 }, { 77, 66, 55 } };

/* Rows as PNG has them, packed. */
static inline struct bytes make_png(const unsigned char *rows, size_t row_bytes, uint32_t w, uint32_t h, int type, int depth, int interlace)
{
	struct png_out o = { { NULL, 0 }, 0 };
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	png_infop info = png_create_info_struct(png);
	png_bytep *at = malloc(h * sizeof(*at));

	png_set_write_fn(png, &o, png_put, png_nothing);
	png_set_IHDR(png, info, w, h, depth, type, interlace, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	if (type == PNG_COLOR_TYPE_PALETTE)
		png_set_PLTE(png, info, palette, 4);
	for (uint32_t y = 0; y < h; y++)
		at[y] = (png_bytep)rows + y * row_bytes;
	png_set_rows(png, info, at);
	png_write_png(png, info, PNG_TRANSFORM_IDENTITY, NULL);
	png_destroy_write_struct(&png, &info);
	free(at);
	return o.b;
}

#endif
