/* json_read: JSON to MessagePack.  jansson reads; before it builds anything, a scan counts nesting and values,
 * which bounds its memory.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "rec/wire.h"

static const char suffix[] = "@base64";
enum { SUFFIX = sizeof(suffix) - 1 };

static int bad(struct zn_err *err, uint64_t at, const char *what)
{
	return zn_err_set(err, -EBADMSG, "%s at byte %llu", what, (unsigned long long)at);
}

static size_t skip_string(const char *text, size_t n, size_t i)
{
	for (i++; i < n && text[i] != '"'; i++)
		if (text[i] == '\\')
			i++;
	return i;
}

/* One level more than a value may have: a binary in a list is a map in JSON. */
static int check_nesting(const char *text, size_t n, uint64_t base, struct zn_err *err)
{
	int depth = 0, items = 1;

	for (size_t i = 0; i < n; i++) {
		char c = text[i];
		if (c == '"')
			i = skip_string(text, n, i);
		else if (c == ']' || c == '}')
			depth--;
		else if (c == '[' || c == '{')
			depth++;
		if (depth > ZN_DEPTH_MAX + 1)
			return bad(err, base + i, "nesting that is too deep");
		if ((c == '[' || c == '{' || c == ',' || c == ':') && ++items > ZN_ITEMS_MAX)
			return bad(err, base + i, "more values than a record may have");
	}
	return 0;
}

struct packing {
	msgpack_packer pk;
	struct zn_buf *to;
	uint64_t base;
	int depth;
	struct zn_err *err;
};

static int buf_write(void *to, const char *p, size_t n)
{
	zn_buf_add(to, p, n);
	return 0;
}

static void pack_text(msgpack_packer *pk, const char *text, size_t n)
{
	msgpack_pack_str(pk, n);
	msgpack_pack_str_body(pk, text, n);
}

static int pack_base64(struct packing *p, const char *key, const json_t *v)
{
	struct zn_buf raw = { 0 };
	int rc = 0;

	if (!json_is_string(v) || !zn_base64_decode(json_string_value(v), json_string_length(v), &raw)) {
		rc = zn_err_set(p->err, -EBADMSG, "'%s' is not base64 in the record at byte %llu", key,
		                (unsigned long long)p->base);
	} else {
		msgpack_pack_bin(&p->pk, raw.len);
		msgpack_pack_bin_body(&p->pk, raw.data, raw.len);
		if (raw.failed)
			p->to->failed = true;
	}
	zn_buf_done(&raw);
	return rc;
}

static int pack_json(struct packing *p, json_t *v);

/* "a@base64" becomes "a", so it is a duplicate of an "a" beside it. */
static int check_twin(struct packing *p, json_t *map, const char *key, size_t n)
{
	char *name = strndup(key, n);

	if (!name)
		return -ENOMEM;
	const json_t *other = json_object_get(map, name);
	int rc = other && !zn__is_reserved(name, n)
	         ? zn_err_set(p->err, -EBADMSG, "duplicate key '%s' in the record at byte %llu", name,
	                      (unsigned long long)p->base) : 0;
	free(name);
	return rc;
}

static int pack_map(struct packing *p, json_t *map)
{
	const char *key;
	json_t *v;

	msgpack_pack_map(&p->pk, json_object_size(map));
	json_object_foreach(map, key, v) {
		size_t n = strlen(key);
		bool binary = zn__is_reserved(key, n);
		int rc = binary ? check_twin(p, map, key, n - SUFFIX) : 0;
		pack_text(&p->pk, key, binary ? n - SUFFIX : n);
		if (rc == 0)
			rc = binary ? pack_base64(p, key, v) : pack_json(p, v);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int pack_list(struct packing *p, const json_t *list)
{
	size_t n = json_array_size(list);

	msgpack_pack_array(&p->pk, n);
	for (size_t i = 0; i < n; i++) {
		json_t *v = json_array_get(list, i);
		const json_t *bytes = json_object_size(v) == 1 ? json_object_get(v, suffix) : NULL;
		int rc = bytes ? pack_base64(p, suffix, bytes) : pack_json(p, v);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int pack_nested(struct packing *p, json_t *v)
{
	if (p->depth == ZN_DEPTH_MAX)
		return bad(p->err, p->base, "nesting that is too deep in the record");
	p->depth++;
	int rc = json_is_object(v) ? pack_map(p, v) : pack_list(p, v);
	p->depth--;
	return rc;
}

static int pack_json(struct packing *p, json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
	case JSON_ARRAY:
		return pack_nested(p, v);
	case JSON_STRING:
		pack_text(&p->pk, json_string_value(v), json_string_length(v));
		return 0;
	case JSON_INTEGER:
		msgpack_pack_int64(&p->pk, json_integer_value(v));
		return 0;
	case JSON_REAL:
		msgpack_pack_double(&p->pk, json_real_value(v));
		return 0;
	case JSON_TRUE:
		msgpack_pack_true(&p->pk);
		return 0;
	case JSON_FALSE:
		msgpack_pack_false(&p->pk);
		return 0;
	default:
		msgpack_pack_nil(&p->pk);
		return 0;
	}
}

/* jansson's sentence, but where that speaks of jansson. */
static int bad_json(const json_error_t *e, uint64_t base, struct zn_err *err)
{
	uint64_t at = base + (uint64_t)e->position;

	switch (json_error_code(e)) {
	case json_error_out_of_memory:
		return -ENOMEM;
	case json_error_null_character:
	case json_error_null_byte_in_key:
		return bad(err, at, "a NUL in a text");
	default:
		return zn_err_set(err, -EBADMSG, "bad JSON at byte %llu: %s", (unsigned long long)at, e->text);
	}
}

int zn_json_to_msgpack(const char *text, size_t n, uint64_t base, struct zn_buf *to, struct zn_err *err)
{
	json_error_t e;
	size_t was = to->len;

	if (n > ZN_RECORD_MAX)
		return bad(err, base, "a record that is too long");
	int rc = check_nesting(text, n, base, err);
	if (rc < 0)
		return rc;
	json_t *doc = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
	if (!doc)
		return bad_json(&e, base, err);
	struct packing p = { .to = to, .base = base, .err = err };
	msgpack_packer_init(&p.pk, to, buf_write);
	rc = pack_json(&p, doc);
	json_decref(doc);
	if (rc == 0 && to->len - was > ZN_RECORD_MAX)
		rc = bad(err, base, "a record that is too long");
	if (rc < 0)
		to->len = was;
	return rc < 0 ? rc : to->failed ? -ENOMEM : 0;
}
