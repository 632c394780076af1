/* ids: an idset as records hold it. */
#ifndef ZN_REC_IDS_H
#define ZN_REC_IDS_H

#include "base/idset.h"
#include "rec/field.h"

/* As a list ("0-3,8"); NULL: out of memory. */
const char *zn_ids_text(const struct zn_idset *s, struct zn_arena *a);
/* As numbers; -ENOMEM. */
int zn_ids_numbers(const struct zn_idset *s, struct zn_arena *a, struct zn_u32s *ret);

#endif
