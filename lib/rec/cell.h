/* cell: one value as the text of a table's cell. */
#ifndef ZN_REC_CELL_H
#define ZN_REC_CELL_H

#include "rec/field.h"

enum zn_show { ZN_SHOW_PLAIN, ZN_SHOW_BYTES, ZN_SHOW_TIME, ZN_SHOW_DUR, ZN_SHOW_TEXT, ZN_SHOW_MAP };

/* How the row at path wants to be shown; field may be NULL, then the unit at the end of the key decides. */
enum zn_show zn__show_of(const struct zn_field *field, const char *path);
/* The row at "alloc.0.node" in the kind and what is inside it, or NULL. */
const struct zn_field *zn__field_at(const struct zn_kind *kind, const char *path);
/* For people: 80.0G, yes, "a,b".  Nothing in it harms a terminal. */
void zn__cell_human(const msgpack_object *v, enum zn_show show, struct zn_buf *to);
/* For programs, quoted as RFC 4180 has it: 85899345920, true, a list as JSON. */
int zn__cell_csv(const msgpack_object *v, struct zn_buf *to);
void zn__csv_quote(const char *text, size_t n, struct zn_buf *to);

#endif
