#include "rec/cell.h"

#include <math.h>
#include <string.h>

#include "base/text.h"
#include "base/units.h"
#include "rec/val.h"

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), k = strlen(end);

	return n >= k && !strcmp(text + n - k, end);
}

enum zn_show zn__show_of(const struct zn_field *field, const char *path)
{
	if (!field)
		return ends_with(path, "_bytes") ? ZN_SHOW_BYTES : ends_with(path, "_s") ? ZN_SHOW_DUR
		                                                                          : ZN_SHOW_PLAIN;
	switch (field->type) {
	case ZN_T_BYTES:
	case ZN_T_OBYTES:
		return ZN_SHOW_BYTES;
	case ZN_T_TIME:
	case ZN_T_OTIME:
		return ZN_SHOW_TIME;
	case ZN_T_DUR:
	case ZN_T_ODUR:
		return ZN_SHOW_DUR;
	case ZN_T_STR:
	case ZN_T_STRS:
		return ZN_SHOW_TEXT;
	case ZN_T_MAP:
		return ZN_SHOW_MAP;
	default:
		return ZN_SHOW_PLAIN;
	}
}

static const struct zn_field *field_named(const struct zn_kind *kind, const char *key, size_t n)
{
	for (const struct zn_field *f = kind->fields; f->type != ZN_T_END; f++)
		if (strlen(f->key) == n && !memcmp(f->key, key, n))
			return f;
	return NULL;
}

const struct zn_field *zn__field_at(const struct zn_kind *kind, const char *path)
{
	const struct zn_field *f = NULL;

	for (size_t n; kind && *path; path += n + (path[n] == '.')) {
		n = strcspn(path, ".");
		if (f && strspn(path, "0123456789") == n)
			continue;
		f = field_named(kind, path, n);
		kind = f ? f->sub : NULL;
		if (!kind && path[n])
			return NULL;
	}
	return f;
}

/* A moment since 2001 under a key that we do not know is a time, all below it a duration. */
static void human_seconds(double s, enum zn_show show, struct zn_buf *to)
{
	char text[ZN_UNIT_TEXT];

	if (show == ZN_SHOW_TIME || s >= 1e9)
		zn_buf_addstr(to, zn_format_time(s, text));
	else
		zn_buf_addstr(to, zn_format_duration(s, text));
}

static void human_number(const msgpack_object *v, enum zn_show show, struct zn_buf *to)
{
	char text[ZN_UNIT_TEXT];
	double f = 0;
	uint64_t n;

	zn_val_f64(v, &f);
	if (show == ZN_SHOW_BYTES && zn_val_u64(v, &n))
		zn_buf_addstr(to, zn_format_bytes(n, text));
	else if (show == ZN_SHOW_TIME || show == ZN_SHOW_DUR)
		human_seconds(f, show, to);
	else if (v->type == MSGPACK_OBJECT_POSITIVE_INTEGER || v->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
		zn_val_to_json(v, to);
	else
		zn_buf_printf(to, fabs(f) >= 1e6 && fabs(f) < 1e15 ? "%.0f" : "%.6g", f);
}

static void human_list(const msgpack_object_array *list, enum zn_show show, struct zn_buf *to)
{
	for (uint32_t i = 0; i < list->size; i++) {
		if (i)
			zn_buf_addch(to, ',');
		if (list->ptr[i].type == MSGPACK_OBJECT_ARRAY)
			zn_val_to_json(&list->ptr[i], to);
		else
			zn__cell_human(&list->ptr[i], show, to);
	}
}

static void human_pairs(const msgpack_object_map *map, struct zn_buf *to)
{
	for (uint32_t i = 0; i < map->size; i++) {
		const msgpack_object_str *key = &map->ptr[i].key.via.str;
		if (i)
			zn_buf_addch(to, ',');
		zn_text_escape(key->ptr, key->size, to);
		zn_buf_addch(to, '=');
		zn__cell_human(&map->ptr[i].val, ZN_SHOW_TEXT, to);
	}
}

/* JSON text leaves what turns the direction of writing as it is, so it is escaped once more. */
static void human_json(const msgpack_object *v, struct zn_buf *to)
{
	struct zn_buf json = { 0 };

	if (zn_val_to_json(v, &json) == 0)
		zn_text_escape(json.data, json.len, to);
	to->failed |= json.failed;
	zn_buf_done(&json);
}

void zn__cell_human(const msgpack_object *v, enum zn_show show, struct zn_buf *to)
{
	switch (v->type) {
	case MSGPACK_OBJECT_NIL:
		break;
	case MSGPACK_OBJECT_BOOLEAN:
		zn_buf_addstr(to, v->via.boolean ? "yes" : "no");
		break;
	case MSGPACK_OBJECT_STR:
		zn_text_escape(v->via.str.ptr, v->via.str.size, to);
		break;
	case MSGPACK_OBJECT_BIN:
		if (show == ZN_SHOW_TEXT)
			zn_text_escape(v->via.bin.ptr, v->via.bin.size, to);
		else
			zn_buf_printf(to, "(%u bytes)", v->via.bin.size);
		break;
	case MSGPACK_OBJECT_ARRAY:
		human_list(&v->via.array, show, to);
		break;
	case MSGPACK_OBJECT_MAP:
		if (show == ZN_SHOW_MAP)
			human_pairs(&v->via.map, to);
		else
			human_json(v, to);
		break;
	default:
		human_number(v, show, to);
	}
}

void zn__csv_quote(const char *text, size_t n, struct zn_buf *to)
{
	bool quote = false;

	for (size_t i = 0; i < n && !quote; i++)
		quote = text[i] == ',' || text[i] == '"' || text[i] == '\n' || text[i] == '\r';
	if (!quote) {
		zn_buf_add(to, text, n);
		return;
	}
	zn_buf_addch(to, '"');
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '"')
			zn_buf_addch(to, '"');
		zn_buf_addch(to, text[i]);
	}
	zn_buf_addch(to, '"');
}

int zn__cell_csv(const msgpack_object *v, struct zn_buf *to)
{
	struct zn_buf json = { 0 };
	int rc = 0;

	switch (v->type) {
	case MSGPACK_OBJECT_NIL:
		return 0;
	case MSGPACK_OBJECT_STR:
		zn__csv_quote(v->via.str.ptr, v->via.str.size, to);
		return 0;
	case MSGPACK_OBJECT_BIN:
		zn_base64_encode(v->via.bin.ptr, v->via.bin.size, to);
		return 0;
	default:
		rc = zn_val_to_json(v, &json);
		if (rc == 0)
			zn__csv_quote(json.data, json.len, to);
		zn_buf_done(&json);
		return rc;
	}
}
