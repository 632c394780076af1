/* field: one table per kind of record.  A row says key, type, heading and help once; MessagePack, JSON,
 * CSV, table, --fields and the manual's FIELDS all come from it.
 *
 * A kind's C struct holds what the record holds.  Unknown is absent: a text that is NULL, a list that is
 * empty, an optional number whose has is false leave their key out, and so does a double that is no finite
 * number; other plain numbers are always there.
 */
#ifndef ZN_REC_FIELD_H
#define ZN_REC_FIELD_H

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "zenith.h"

struct zn_obool { bool v, has; };
struct zn_ou64 { uint64_t v; bool has; };
struct zn_oi64 { int64_t v; bool has; };
struct zn_of64 { double v; bool has; };
struct zn_strs { const char **v; size_t n; };
struct zn_u32s { uint32_t *v; size_t n; };
struct zn_pair { const char *key, *value; };
struct zn_strmap { struct zn_pair *v; size_t n; };
struct zn_list { void *v; size_t n; };                /* n structs of the row's sub kind */
struct zn_bytes { const void *p; size_t n; };

#define ZN_SOME_BOOL(x) ((struct zn_obool){ .v = (x), .has = true })
#define ZN_SOME_U64(x) ((struct zn_ou64){ .v = (x), .has = true })
#define ZN_SOME_I64(x) ((struct zn_oi64){ .v = (x), .has = true })
#define ZN_SOME_F64(x) ((struct zn_of64){ .v = (x), .has = true })

enum zn_type {
	ZN_T_END = 0,
	/* type      C member           in a table */
	ZN_T_BOOL,  /* bool                yes, no */
	ZN_T_U32,   /* uint32_t */
	ZN_T_U64,   /* uint64_t */
	ZN_T_I64,   /* int64_t */
	ZN_T_F64,   /* double */
	ZN_T_BYTES, /* uint64_t            80.0G */
	ZN_T_TIME,  /* double, epoch       local time */
	ZN_T_DUR,   /* double, seconds     3m12s */
	ZN_T_OBOOL, /* struct zn_obool */
	ZN_T_OU64,  /* struct zn_ou64 */
	ZN_T_OI64,  /* struct zn_oi64 */
	ZN_T_OF64,  /* struct zn_of64 */
	ZN_T_OBYTES,/* struct zn_ou64 */
	ZN_T_OTIME, /* struct zn_of64 */
	ZN_T_ODUR,  /* struct zn_of64 */
	ZN_T_STR,   /* const char *, UTF-8 or, when it is not, sent as a MessagePack binary */
	ZN_T_BIN,   /* struct zn_bytes, p NULL is absent */
	ZN_T_STRS,  /* struct zn_strs */
	ZN_T_U32S,  /* struct zn_u32s */
	ZN_T_MAP,   /* struct zn_strmap: text -> text; the keys must be UTF-8 and unique, or no reader takes it */
	ZN_T_SUB,   /* an embedded struct of kind sub; absent when all of it is */
	ZN_T_SUBS,  /* struct zn_list of kind sub */
	ZN_T_ANY,   /* struct zn_bytes: one ready-made MessagePack value, passed through */
};

/* What zn_decode takes for an ANY.  It is well below what a record may have, so that the record which we wrap
 * around it stays one that readers take.
 */
enum { ZN_ANY_DEPTH_MAX = 32, ZN_ANY_ITEMS_MAX = 1 << 18 };

struct zn_kind;

struct zn_field {
	const char *key;
	enum zn_type type;
	size_t at;                   /* offsetof in the kind's struct */
	const char *heading;         /* "" : never a column unless --fields asks for it by key */
	const char *help;            /* one sentence, lower case, no full stop */
	const struct zn_kind *sub;   /* for SUB and SUBS */
	const char *with;            /* in a table "." and the value of the first of these keys that is there follow: "index|array" */
};

struct zn_kind {
	const char *name;            /* the value of "kind"; NULL for a map that is only ever inside another */
	const char *brief;           /* what one record is */
	const struct zn_field *fields; /* ends with { 0 } */
	size_t size;                 /* sizeof its struct */
	const char *columns;         /* default columns of a table, "id,name,state"; NULL: all with a heading */
};

#define ZN_FIELD(strukt, member, typ, head, text) \
	{ .key = #member, .type = ZN_T_##typ, .at = offsetof(strukt, member), .heading = head, .help = text }
#define ZN_FIELD_AS(strukt, member, name, typ, head, text) \
	{ .key = name, .type = ZN_T_##typ, .at = offsetof(strukt, member), .heading = head, .help = text }
#define ZN_FIELD_WITH(strukt, member, typ, head, keys, text) \
	{ .key = #member, .type = ZN_T_##typ, .at = offsetof(strukt, member), .heading = head, .help = text, .with = keys }
#define ZN_FIELD_SUB(strukt, member, typ, subkind, head, text) \
	{ .key = #member, .type = ZN_T_##typ, .at = offsetof(strukt, member), .heading = head, .help = text, \
	  .sub = subkind }

/* Appends the struct as one MessagePack map, "kind" first when the kind has a name.
 * -ENOMEM is the only failure.
 */
int zn_encode(const struct zn_kind *kind, const void *strukt, struct zn_buf *to);

/* Fills the struct (ret is zeroed first) from a map.  Text and lists live in a; strings that hold a NUL
 * are refused.  Unknown keys are skipped; "kind" is not looked at.  A value of the wrong type, a negative
 * or fractional count, a number out of range, NaN or infinity: -EBADMSG and "field 'resources.gpus' is
 * not a whole number".  nil counts as absent.  A missing plain number stays 0.
 */
int zn_decode(const struct zn_kind *kind, const msgpack_object *map, struct zn_arena *a, void *ret,
              struct zn_err *err);

/* The row with this key, or NULL. */
const struct zn_field *zn_kind_field(const struct zn_kind *kind, const char *key);

#endif
