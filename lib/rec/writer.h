/* writer: records to a descriptor as a table for people, JSON Lines, CSV or MessagePack. */
#ifndef ZN_REC_WRITER_H
#define ZN_REC_WRITER_H

#include "rec/field.h"
#include "rec/val.h"

enum zn_format { ZN_FORMAT_TABLE, ZN_FORMAT_JSON, ZN_FORMAT_CSV, ZN_FORMAT_MSGPACK };

struct zn_writer;

struct zn_writer_opts {
	enum zn_format format;
	const char *fields;   /* "id,name,alloc.node": only these keys, in this order; NULL: the kind's columns
	                       * for table and CSV, everything for JSON and MessagePack.  A path into a list
	                       * picks from each element, shown joined with a comma */
	bool live;            /* write each record when it comes (events -f): a table then has columns of
	                       * fixed width instead of fitted ones */
	bool color;
	bool no_heading;
	int width;            /* columns of the terminal; the last text column is cut to fit; 0: never cut */
};

int zn_format_parse(const char *name, enum zn_format *ret, struct zn_err *err);
/* fd stays the caller's; opts->fields is copied; -EINVAL when it has an empty name in it. */
int zn_writer_new(int fd, const struct zn_writer_opts *opts, struct zn_writer **ret);
/* A struct of a kind we own. */
int zn_writer_put(struct zn_writer *w, const struct zn_kind *kind, const void *strukt);
/* Any map.  kinds (may be NULL; ends with NULL) lend headings and formats to maps whose "kind" they name;
 * columns of unknown kinds are the keys in the order they came.
 */
int zn_writer_put_val(struct zn_writer *w, const struct zn_kind *const *kinds, const msgpack_object *map);
/* The same map as bytes that zn_msgpack_check let pass: nothing is built where they go out as they are. */
int zn_writer_put_raw(struct zn_writer *w, const struct zn_kind *const *kinds, struct zn_bytes map);
/* Writes what is ready now: everything but a table that still waits for its widths. */
int zn_writer_flush(struct zn_writer *w);
/* Writes what is buffered (a table is, until now); -errno if any write failed, now or before.  A table
 * with several kinds prints one block for each, in order of first appearance.
 */
int zn_writer_end(struct zn_writer *w);
void zn_writer_free(struct zn_writer *w);

#endif
