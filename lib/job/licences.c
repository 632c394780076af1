#include "job/licences.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "job/spec.h"
#include "rec/val.h"

static const struct zn_field fields[] = {
	ZN_FIELD(struct zn_licence_record, name, STR, "LICENCE", "its name"),
	ZN_FIELD(struct zn_licence_record, total, U64, "TOTAL", "how many there are"),
	ZN_FIELD(struct zn_licence_record, used, OU64, "USED", "how many of them jobs have"),
	ZN_FIELD(struct zn_licence_record, jobs, OU64, "JOBS", "how many jobs that is"),
	{ 0 },
};
const struct zn_kind zn_licence_kind = { "licence", "what is counted by name", fields, sizeof(struct zn_licence_record), NULL };

int zn_licence_check_name(const char *name, struct zn_err *err)
{
	int rc = zn_spec_check_name("a licence's name", name, err);

	if (rc == 0 && strpbrk(name, ":,"))
		rc = zn_err_set(err, -EBADMSG, "a licence's name '%s' holds a colon or a comma", name);
	return rc;
}

static int by_name(const void *a, const void *b)
{
	const struct zn_spec_licence *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int sort_and_check(struct zn_list *list, struct zn_err *err)
{
	struct zn_spec_licence *v = list->v;
	int rc = 0;

	if (list->n > ZN_LICENCES_MAX)
		return zn_err_set(err, -EBADMSG, "a job may ask %d different licences, not %zu", ZN_LICENCES_MAX, list->n);
	if (list->n)
		qsort(v, list->n, sizeof(*v), by_name);
	for (size_t i = 0; rc == 0 && i < list->n; i++) {
		rc = zn_licence_check_name(v[i].name, err);
		if (rc == 0 && (v[i].count < 1 || v[i].count > ZN_LICENCE_COUNT_MAX))
			rc = zn_err_set(err, -EBADMSG, "licence '%s' must be asked 1 to %d times, not %llu", v[i].name, ZN_LICENCE_COUNT_MAX,
			                (unsigned long long)v[i].count);
		if (rc == 0 && i && !strcmp(v[i].name, v[i - 1].name))
			rc = zn_err_set(err, -EBADMSG, "licence '%s' is asked twice", v[i].name);
	}
	return rc;
}

/* ---- texts --------------------------------------------------------------------------------------------- */

static int parse_one(char *word, struct zn_spec_licence *ret, struct zn_err *err)
{
	char *count = strchr(word, ':');

	if (count)
		*count++ = '\0';
	*ret = (struct zn_spec_licence){ .name = word, .count = 1 };
	if (count && zn_parse_u64(count, 0, UINT64_MAX, &ret->count, NULL) < 0)
		return zn_err_set(err, -EINVAL, "licence '%s' can be asked a number of times, not '%s'", word, count);
	return 0;
}

static int pack(const struct zn_list *list, struct zn_arena *a, struct zn_bytes *ret)
{
	const struct zn_spec_licence *v = list->v;
	msgpack_object_kv *pairs = zn_arena_array(a, list->n, sizeof(*pairs));
	msgpack_object map = { .type = MSGPACK_OBJECT_MAP, .via.map = { (uint32_t)list->n, pairs } };
	struct zn_buf b = { 0 };

	for (size_t i = 0; pairs && i < list->n; i++)
		pairs[i] = (msgpack_object_kv){
			.key = { .type = MSGPACK_OBJECT_STR, .via.str = { (uint32_t)strlen(v[i].name), v[i].name } },
			.val = { .type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = v[i].count },
		};
	int rc = pairs ? zn_val_pack(&map, &b) : -ENOMEM;
	const void *p = rc == 0 && !b.failed ? zn_arena_memdup(a, b.data, b.len) : NULL;
	*ret = (struct zn_bytes){ p, p ? b.len : 0 };
	zn_buf_done(&b);
	return p ? 0 : -ENOMEM;
}

int zn_spec_licences_parse(const char *text, struct zn_arena *a, struct zn_bytes *ret, struct zn_err *err)
{
	char *rest = zn_arena_strdup(a, text);
	size_t n = 1;
	int rc = 0;

	for (const char *p = text; *p; p++)
		n += *p == ',';
	struct zn_list list = { zn_arena_array(a, n, sizeof(struct zn_spec_licence)), n };
	if (!rest || !list.v)
		return zn_err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = parse_one(strsep(&rest, ","), (struct zn_spec_licence *)list.v + i, err);
	if (rc == 0)
		rc = sort_and_check(&list, err);
	if (rc == 0 && pack(&list, a, ret) < 0)
		rc = zn_err_set(err, -ENOMEM, "out of memory");
	return rc;
}

const char *zn_spec_licences_text(const struct zn_list *list, struct zn_arena *a)
{
	const struct zn_spec_licence *v = list->v;
	struct zn_buf b = { 0 };

	for (size_t i = 0; i < list->n; i++)
		zn_buf_printf(&b, "%s%s:%llu", i ? "," : "", v[i].name, (unsigned long long)v[i].count);
	const char *text = list->n ? zn_buf_text(&b) : NULL;
	const char *copy = text ? zn_arena_strdup(a, text) : NULL;
	zn_buf_done(&b);
	return copy;
}

/* ---- records ------------------------------------------------------------------------------------------- */

static int read_pair(const msgpack_object_kv *pair, struct zn_arena *a, struct zn_spec_licence *ret, struct zn_err *err)
{
	ret->name = zn_val_text(&pair->key, a);
	if (!ret->name)
		return zn_err_set(err, -EBADMSG, "licences must be a map of names and numbers");
	if (!zn_val_u64(&pair->val, &ret->count))
		return zn_err_set(err, -EBADMSG, "licence '%.*s' can be asked a whole number of times", ZN_SPEC_NAME_MAX, ret->name);
	return 0;
}

int zn_spec_licences_read(struct zn_bytes value, struct zn_arena *a, struct zn_list *ret, struct zn_err *err)
{
	msgpack_object map;

	if (!value.p) {
		*ret = (struct zn_list){ 0 };
		return 0;
	}
	int rc = zn_val_unpack(value.p, value.n, 0, a, &map, err);
	if (rc < 0)
		return rc;
	if (map.type != MSGPACK_OBJECT_MAP)
		return zn_err_set(err, -EBADMSG, "licences must be a map of names and numbers");
	struct zn_list list = { zn_arena_array(a, map.via.map.size + 1, sizeof(struct zn_spec_licence)), map.via.map.size };
	if (!list.v)
		return zn_err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; rc == 0 && i < list.n; i++)
		rc = read_pair(&map.via.map.ptr[i], a, (struct zn_spec_licence *)list.v + i, err);
	if (rc == 0)
		rc = sort_and_check(&list, err);
	if (rc == 0)
		*ret = list;
	return rc;
}
