/* A laid-out batch and its columns as the structs of Arrow's C data interface. */
#ifndef ZN_DATA_ARROW_C_H
#define ZN_DATA_ARROW_C_H

#include "data/columns.h"
#include "zenith.h"

/* Both are released by whoever gets them.  -ENOMEM. */
int zn__arrow_c_schema(const struct zn__columns *c, struct ArrowSchema *ret, struct zn_err *err);
/* Of what was laid out last; c is needed no longer, the batch is until release(arg). */
int zn__arrow_c_array(const struct zn__columns *c, void (*release)(void *), void *arg, struct ArrowArray *ret, struct zn_err *err);

#endif
