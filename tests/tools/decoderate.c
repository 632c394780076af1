/* decoderate FILE SPEC: what decoding a JPEG costs, beside libjpeg-turbo alone, which makes all of it red, green and
 * blue as tjbench does.  Both by turns, in CPU time, the best and the middle of many rounds.
 */
#include <stdio.h>

#ifdef ZN_WITH_LIBJPEG

#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include <jpeglib.h>

#include "data/decode.h"

enum { ROUNDS = 41, EACH = 50, SLOTS = 64 };

static unsigned char *file;
static size_t file_bytes;

static double cpu_now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void read_file(const char *path)
{
	enum { MAX = 16 << 20 };
	FILE *f = fopen(path, "rb");

	file = malloc(MAX);
	file_bytes = f && file ? fread(file, 1, MAX, f) : 0;
	if (file_bytes == 0 || file_bytes == MAX) {
		fprintf(stderr, "decoderate: can't read '%s'\n", path);
		exit(1);
	}
	fclose(f);
}

/* One decompressor for all, as tjbench has it. */
static void decode_plainly(struct jpeg_decompress_struct *d)
{
	static unsigned char *px;
	static size_t cap;

	jpeg_mem_src(d, file, file_bytes);
	jpeg_read_header(d, TRUE);
	d->out_color_space = JCS_RGB;
	jpeg_start_decompress(d);
	size_t row_bytes = (size_t)d->output_width * 3, bytes = row_bytes * (d->output_height + 16);
	if (bytes > cap)
		px = realloc(px, cap = bytes);
	while (d->output_scanline < d->output_height) {
		JSAMPROW rows[16];
		for (int i = 0; i < 16; i++)
			rows[i] = px + (d->output_scanline + (unsigned)i) * row_bytes;
		jpeg_read_scanlines(d, rows, 16);
	}
	jpeg_finish_decompress(d);
}

static int by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void show(const char *name, double s[ROUNDS])
{
	qsort(s, ROUNDS, sizeof(*s), by_size);
	printf("%-10s %7.1f us, middle %7.1f us a picture, %6.0f a second and core\n", name, s[0] * 1e6, s[ROUNDS / 2] * 1e6, 1 / s[0]);
}

static void must_run(const struct zn_decoder *d, void *hand, uint64_t random, void *out)
{
	const char *why;

	if (zn_decoder_run(d, hand, file, file_bytes, random, out, &why) == 0)
		return;
	fprintf(stderr, "decoderate: %s\n", why);
	exit(1);
}

static void one_core(const struct zn_decoder *d, void *hand, char *out)
{
	double plain[ROUNDS], ours[ROUNDS];
	struct jpeg_decompress_struct j;
	struct jpeg_error_mgr err;

	j.err = jpeg_std_error(&err);
	jpeg_create_decompress(&j);
	for (int r = 0; r < ROUNDS; r++) {
		double from = cpu_now(CLOCK_PROCESS_CPUTIME_ID);
		for (int i = 0; i < EACH; i++)
			decode_plainly(&j);
		plain[r] = (cpu_now(CLOCK_PROCESS_CPUTIME_ID) - from) / EACH;
		from = cpu_now(CLOCK_PROCESS_CPUTIME_ID);
		for (int i = 0; i < EACH; i++)
			must_run(d, hand, (uint64_t)(r * EACH + i), out + (size_t)i % SLOTS * d->bytes);
		ours[r] = (cpu_now(CLOCK_PROCESS_CPUTIME_ID) - from) / EACH;
	}
	jpeg_destroy_decompress(&j);
	show("libjpeg", plain);
	show("zenith", ours);
}

int main(int argc, char **argv)
{
	struct zn_decoder *d;
	struct zn_err err = { "" };
	void *hand;
	char *out;

	if (argc < 3 || zn_decode_parse(argv[2], &d, &err) < 0 || !d->has_shape || zn_decoder_hand_new(d, &hand) < 0) {
		fprintf(stderr, "decoderate: %s\n", *err.text ? err.text : "FILE FIELD=image:HxW[,OPTION,...]");
		return 1;
	}
	read_file(argv[1]);
	out = aligned_alloc(2 << 20, (SLOTS * d->bytes + (2 << 20) - 1) & ~(size_t)((2 << 20) - 1));
	if (!out)
		return 1;
	madvise(out, SLOTS * d->bytes, MADV_HUGEPAGE); /* as the blocks of lib/mem are */
	must_run(d, hand, 0, out);
	one_core(d, hand, out);
	zn_decoder_hand_free(d, hand);
	zn_decoder_free(d);
	free(out);
	free(file);
	return 0;
}

#else

int main(void)
{
	fputs("decoderate: built without libjpeg-turbo\n", stderr);
	return 1;
}

#endif
