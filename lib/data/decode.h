/* decode: what the bytes of a field become: numbers of one type, in a shape that is the same for each sample.
 *
 * A decoder belongs to one field and is made from a text, FIELD=KIND[:OPTION,...]:
 *
 *   jpg=image:HxW[,OPTION,...]   a JPEG or a PNG, whichever the bytes are, H rows of W pixels
 *       u8|f32|bf16|f16          the numbers' type; u8 (0 to 255) unless said, else 0 to 1 before mean and std
 *       chw|hwc                  [C, H, W], as torch has it (this unless said), or [H, W, C]
 *       gray                     C is 1 (ITU-R 601 luma), not 3 (red, green, blue)
 *       resize=N                 makes the shorter side N pixels before the crop; without it the crop is as large as it can
 *                                be and is made H x W
 *       crop=center|random|resized|none
 *                                where it is taken (center unless said); "resized" takes a part of any size and makes it
 *                                H x W (RandomResizedCrop), "none" makes the whole picture H x W
 *       area=LO/HI aspect=LO/HI  for crop=resized: part of the area (0.08/1), width to height (0.75/1.3333)
 *       flip                     every second one is mirrored, left to right
 *       mean=R/G/B std=R/G/B     (v - mean) / std, of values from 0 to 1; one number stands for all channels
 *       pixels=N                 larger pictures are refused before anything is allocated (64M unless said), and those with a
 *                                side of more than 65535.  A thread needs memory for a few rows; for an interlaced PNG 4 bytes
 *                                a pixel, for a progressive JPEG at most 8
 *   npy=npy[:TYPE,NxNx...]       numpy's .npy, versions 1 to 3, little-endian, C order; type and shape as said, or those of
 *                                the first one (zn_decoder_learn)
 *   bin=raw:TYPE[,NxNx...]       bytes that are numbers already, such as tokens
 *   cls=int[:i32|i64]            a number in decimal (i64 unless said), white space around it
 *   x=float[:f32|f64]            the same with a fraction (f32 unless said)
 *
 * Sizes are scaled as Pillow's BILINEAR does it: smoothly also where many pixels become one.  A JPEG is first shrunk by 2,
 * 4 or 8 while it is decoded where that leaves enough; the EXIF orientation is not applied and colour profiles are not,
 * as Pillow doesn't either; transparency is dropped.
 */
#ifndef ZN_DATA_DECODE_H
#define ZN_DATA_DECODE_H

#include <stdbool.h>

#include "data/batch.h"

struct zn_decoder;

/* How a kind of decoder works.  hand_new, decode and hand_free are called by many threads at once. */
struct zn_decoder_ops {
	/* What one thread needs, which it uses for one datum at a time; both NULL where that is nothing. */
	int (*hand_new)(const struct zn_decoder *d, void **ret);
	void (*hand_free)(void *hand);
	/* Type and shape of what p would become; NULL where the text says it all. */
	int (*learn)(const struct zn_decoder *d, const void *p, size_t n, struct zn_shape *ret, const char **ret_why);
	/* Writes d->bytes bytes to out, which is aligned to its type. */
	int (*decode)(const struct zn_decoder *d, void *hand, const void *p, size_t n, uint64_t random, void *out,
	              const char **ret_why);
	void (*free)(struct zn_decoder *d); /* what it has beside itself; NULL: nothing */
};

/* A kind puts this at the beginning of its own struct. */
struct zn_decoder {
	const struct zn_decoder_ops *ops;
	char *field;
	bool has_shape;
	struct zn_shape shape;         /* with has_shape: of one sample's field */
	size_t bytes;                  /* of that */
};

/* From text to a decoder, which the caller frees.  -EINVAL with a sentence; -ENOTSUP: built without the library for it. */
int zn_decode_parse(const char *text, struct zn_decoder **ret, struct zn_err *err);
void zn_decoder_free(struct zn_decoder *d);

/* Fixes the shape by a datum, where it is not fixed yet.  Not while another thread uses d. */
int zn_decoder_learn(struct zn_decoder *d, const void *p, size_t n, const char **ret_why);

/* One thread's tools for d. */
int zn_decoder_hand_new(const struct zn_decoder *d, void **ret);
void zn_decoder_hand_free(const struct zn_decoder *d, void *hand);

/* One datum.  What it becomes depends on p, n and random alone, which augmentation draws from: give a number made of seed,
 * epoch and sample; pictures of equal size get the same place and side by the same number.  Any bytes at all may
 * be given.  Below 0 *ret_why says in a constant text why not, and out holds anything: -EBADMSG damaged or of another
 * kind, -EFBIG too large, -ENOTSUP well-formed but not read here, -ENOMEM.
 */
int zn_decoder_run(const struct zn_decoder *d, void *hand, const void *p, size_t n, uint64_t random, void *out,
                   const char **ret_why);

#endif
