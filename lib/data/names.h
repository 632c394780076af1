/* names: of fields, each text once, so that equal names are one pointer; and those that were asked for. */
#ifndef ZN_DATA_NAMES_H
#define ZN_DATA_NAMES_H

#include "data/loader.h"

struct zn__name;
struct zn__names { struct zn__name *by_text; };

/* The one text that stands for a name, in lower case; lives until done.  NULL: memory ran out. */
const char *zn__names_get(struct zn__names *names, const char *p, size_t n);
void zn__names_done(struct zn__names *names);

/* Whether a field was asked for. */
bool zn__is_wanted(const struct zn_loader_ask *ask, const char *p, size_t n);
/* Leaves of *n data, ZN__FIELDS_MAX at most, those that were asked for, in that order.  NULL, or why the sample is lost. */
const char *zn__choose(const struct zn_loader_ask *ask, struct zn_datum *data, uint32_t *n);

#endif
