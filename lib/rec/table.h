/* table: rows and columns for the writer, as aligned text or as CSV.  One block for each kind. */
#ifndef ZN_REC_TABLE_H
#define ZN_REC_TABLE_H

#include "rec/writer.h"

struct zn_table;

/* paths: the columns that were asked for, n of them; 0: each kind's own.  Both outlive the table. */
int zn__table_new(const struct zn_writer_opts *opts, const char *const *paths, size_t n, struct zn_table **ret);
/* kind may be NULL.  Appends to out what needs no later row to be laid out. */
int zn__table_put(struct zn_table *t, const struct zn_kind *kind, const msgpack_object *map, struct zn_buf *out);
/* Appends the rest, about enough bytes at a time: 1 as long as more is left.  Nothing is put any more. */
int zn__table_end(struct zn_table *t, struct zn_buf *out, size_t enough);
void zn__table_free(struct zn_table *t);

#endif
