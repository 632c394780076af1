/* encode: a struct and its field table become one MessagePack map. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "rec/field.h"

static bool is_present(const struct zn_field *f, const void *at);

static uint32_t count_present(const struct zn_kind *kind, const void *strukt)
{
	uint32_t n = kind->name != NULL;

	for (const struct zn_field *f = kind->fields; f->type != ZN_T_END; f++)
		n += is_present(f, (const char *)strukt + f->at);
	return n;
}

static bool is_present(const struct zn_field *f, const void *at)
{
	switch (f->type) {
	case ZN_T_F64:
	case ZN_T_TIME:
	case ZN_T_DUR:
		return isfinite(*(const double *)at);
	case ZN_T_OBOOL:
		return ((const struct zn_obool *)at)->has;
	case ZN_T_OU64:
	case ZN_T_OBYTES:
		return ((const struct zn_ou64 *)at)->has;
	case ZN_T_OI64:
		return ((const struct zn_oi64 *)at)->has;
	case ZN_T_OF64:
	case ZN_T_OTIME:
	case ZN_T_ODUR:
		return ((const struct zn_of64 *)at)->has && isfinite(((const struct zn_of64 *)at)->v);
	case ZN_T_STR:
		return *(const char *const *)at != NULL;
	case ZN_T_BIN:
		return ((const struct zn_bytes *)at)->p != NULL;
	case ZN_T_ANY:
		return ((const struct zn_bytes *)at)->n != 0;
	case ZN_T_STRS:
		return ((const struct zn_strs *)at)->n != 0;
	case ZN_T_U32S:
		return ((const struct zn_u32s *)at)->n != 0;
	case ZN_T_MAP:
		return ((const struct zn_strmap *)at)->n != 0;
	case ZN_T_SUBS:
		return ((const struct zn_list *)at)->n != 0;
	case ZN_T_SUB:
		return count_present(f->sub, at) > (f->sub->name != NULL);
	default:
		return true;
	}
}

static int buf_write(void *to, const char *p, size_t n)
{
	zn_buf_add(to, p, n);
	return 0;
}

static void put_key(msgpack_packer *pk, const char *text)
{
	size_t n = strlen(text);

	msgpack_pack_str(pk, n);
	msgpack_pack_str_body(pk, text, n);
}

static void put_text(msgpack_packer *pk, const char *text)
{
	size_t n = strlen(text);

	if (zn_is_utf8(text, n)) {
		msgpack_pack_str(pk, n);
		msgpack_pack_str_body(pk, text, n);
	} else {
		msgpack_pack_bin(pk, n);
		msgpack_pack_bin_body(pk, text, n);
	}
}

static void put_struct(msgpack_packer *pk, const struct zn_kind *kind, const void *strukt);

static void put_strs(msgpack_packer *pk, const struct zn_strs *l)
{
	msgpack_pack_array(pk, l->n);
	for (size_t i = 0; i < l->n; i++)
		put_text(pk, l->v[i]);
}

static void put_u32s(msgpack_packer *pk, const struct zn_u32s *l)
{
	msgpack_pack_array(pk, l->n);
	for (size_t i = 0; i < l->n; i++)
		msgpack_pack_uint32(pk, l->v[i]);
}

static void put_strmap(msgpack_packer *pk, const struct zn_strmap *m)
{
	msgpack_pack_map(pk, m->n);
	for (size_t i = 0; i < m->n; i++) {
		put_key(pk, m->v[i].key);
		put_text(pk, m->v[i].value);
	}
}

static void put_subs(msgpack_packer *pk, const struct zn_kind *sub, const struct zn_list *l)
{
	msgpack_pack_array(pk, l->n);
	for (size_t i = 0; i < l->n; i++)
		put_struct(pk, sub, (const char *)l->v + i * sub->size);
}

static void put_bool(msgpack_packer *pk, bool v)
{
	if (v)
		msgpack_pack_true(pk);
	else
		msgpack_pack_false(pk);
}

static void put_field(msgpack_packer *pk, const struct zn_field *f, const void *at)
{
	const struct zn_bytes *bytes = at;

	switch (f->type) {
	case ZN_T_BOOL: put_bool(pk, *(const bool *)at); break;
	case ZN_T_OBOOL: put_bool(pk, ((const struct zn_obool *)at)->v); break;
	case ZN_T_U32: msgpack_pack_uint32(pk, *(const uint32_t *)at); break;
	case ZN_T_U64:
	case ZN_T_BYTES: msgpack_pack_uint64(pk, *(const uint64_t *)at); break;
	case ZN_T_OU64:
	case ZN_T_OBYTES: msgpack_pack_uint64(pk, ((const struct zn_ou64 *)at)->v); break;
	case ZN_T_I64: msgpack_pack_int64(pk, *(const int64_t *)at); break;
	case ZN_T_OI64: msgpack_pack_int64(pk, ((const struct zn_oi64 *)at)->v); break;
	case ZN_T_F64:
	case ZN_T_TIME:
	case ZN_T_DUR: msgpack_pack_double(pk, *(const double *)at); break;
	case ZN_T_OF64:
	case ZN_T_OTIME:
	case ZN_T_ODUR: msgpack_pack_double(pk, ((const struct zn_of64 *)at)->v); break;
	case ZN_T_STR: put_text(pk, *(const char *const *)at); break;
	case ZN_T_STRS: put_strs(pk, at); break;
	case ZN_T_U32S: put_u32s(pk, at); break;
	case ZN_T_MAP: put_strmap(pk, at); break;
	case ZN_T_SUB: put_struct(pk, f->sub, at); break;
	case ZN_T_SUBS: put_subs(pk, f->sub, at); break;
	case ZN_T_ANY: zn_buf_add(pk->data, bytes->p, bytes->n); break;
	case ZN_T_BIN:
		msgpack_pack_bin(pk, bytes->n);
		msgpack_pack_bin_body(pk, bytes->p, bytes->n);
		break;
	case ZN_T_END: break;
	}
}

static void put_struct(msgpack_packer *pk, const struct zn_kind *kind, const void *strukt)
{
	msgpack_pack_map(pk, count_present(kind, strukt));
	if (kind->name) {
		put_key(pk, "kind");
		put_key(pk, kind->name);
	}
	for (const struct zn_field *f = kind->fields; f->type != ZN_T_END; f++) {
		const void *at = (const char *)strukt + f->at;
		if (!is_present(f, at))
			continue;
		put_key(pk, f->key);
		put_field(pk, f, at);
	}
}

int zn_encode(const struct zn_kind *kind, const void *strukt, struct zn_buf *to)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, to, buf_write);
	put_struct(&pk, kind, strukt);
	return to->failed ? -ENOMEM : 0;
}
