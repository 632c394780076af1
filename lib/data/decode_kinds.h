/* decode_kinds: the kinds of decoders, for decode.c alone.  opts is what follows the colon, or NULL, and may be cut up. */
#ifndef ZN_DATA_DECODE_KINDS_H
#define ZN_DATA_DECODE_KINDS_H

#include "data/decode.h"

int zn__decode_image_new(const char *field, char *opts, struct zn_decoder **ret, struct zn_err *err);
int zn__decode_npy_new(const char *field, char *opts, struct zn_decoder **ret, struct zn_err *err);
int zn__decode_raw_new(const char *field, char *opts, struct zn_decoder **ret, struct zn_err *err);
int zn__decode_int_new(const char *field, char *opts, struct zn_decoder **ret, struct zn_err *err);
int zn__decode_float_new(const char *field, char *opts, struct zn_decoder **ret, struct zn_err *err);

/* A type and a shape, "f32,3x4", of which the shape may be left out. */
int zn__shape_parse(const char *field, char *opts, struct zn_shape *ret, struct zn_err *err);
/* "3x224x224", each 1 to 2^31-1.  The number of dims, or -EINVAL. */
int zn__dims_parse(const char *text, uint32_t *dims, uint32_t max);
/* The shape is known: by the text, or by a datum. */
void zn__decoder_fix(struct zn_decoder *d, const struct zn_shape *s);

#endif
