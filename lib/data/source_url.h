/* source_url: the tar shard that lies at a URL: what it is, and where its samples lie. */
#ifndef ZN_DATA_SOURCE_URL_H
#define ZN_DATA_SOURCE_URL_H

#include "data/fetch.h"
#include "data/source.h"

/* Asks what is there, and sets its size. */
int zn__url_ask(struct zn_source *s, struct zn_fetcher *f, struct zn_err *err);
/* Where its index is kept: below $XDG_CACHE_HOME/zenith/index, else ~/.cache; and what it is of.  -ENOENT: nowhere, *ret_why says why. */
int zn__url_index_path(const struct zn_url *u, char *to, size_t size, struct zn_index_of *ret, const char **ret_why);
/* As zn_index_build; but what can't be read anywhere is an error. */
int zn__url_index_build(struct zn_source *s, struct zn_fetcher *f, struct zn_err *err);

#endif
