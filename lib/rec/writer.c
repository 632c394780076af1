#include "rec/writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "rec/table.h"

enum { FLUSH_AT = 64 << 10 };

struct zn_writer {
	int fd;
	int rc;                   /* the first failure; nothing is written after it */
	struct zn_writer_opts opts;
	const char **paths;       /* opts.fields, taken apart */
	size_t n_paths;
	struct zn_table *table;   /* for table and CSV */
	struct zn_buf out, record;
	struct zn_arena keep, scratch;
};

static const char *const names[] = { [ZN_FORMAT_TABLE] = "table", [ZN_FORMAT_JSON] = "json",
                                     [ZN_FORMAT_CSV] = "csv", [ZN_FORMAT_MSGPACK] = "msgpack" };

int zn_format_parse(const char *name, enum zn_format *ret, struct zn_err *err)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(name, names[i])) {
			*ret = (enum zn_format)i;
			return 0;
		}
	return zn_err_set(err, -EINVAL, "output '%s' is none of table, json, csv and msgpack", name);
}

static bool has_path(const struct zn_writer *w, const char *path)
{
	for (size_t i = 0; i < w->n_paths; i++)
		if (!strcmp(w->paths[i], path))
			return true;
	return false;
}

/* A key asked for twice is written once: a record has no key twice. */
static int split_fields(struct zn_writer *w)
{
	char *list = zn_arena_strdup(&w->keep, w->opts.fields);

	w->paths = zn_arena_array(&w->keep, strlen(w->opts.fields) + 1, sizeof(*w->paths));
	if (!list || !w->paths)
		return -ENOMEM;
	for (char *path; (path = strsep(&list, ","));) {
		if (!*path)
			return -EINVAL;
		if (!has_path(w, path))
			w->paths[w->n_paths++] = path;
	}
	return 0;
}

int zn_writer_new(int fd, const struct zn_writer_opts *opts, struct zn_writer **ret)
{
	struct zn_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->fd = fd;
	w->opts = *opts;
	int rc = opts->fields ? split_fields(w) : 0;
	if (rc == 0 && (opts->format == ZN_FORMAT_TABLE || opts->format == ZN_FORMAT_CSV))
		rc = zn__table_new(&w->opts, w->paths, w->n_paths, &w->table);
	if (rc < 0) {
		zn_writer_free(w);
		return rc;
	}
	*ret = w;
	return 0;
}

void zn_writer_free(struct zn_writer *w)
{
	if (!w)
		return;
	zn__table_free(w->table);
	zn_buf_done(&w->out);
	zn_buf_done(&w->record);
	zn_arena_done(&w->keep);
	zn_arena_done(&w->scratch);
	free(w);
}

int zn_writer_flush(struct zn_writer *w)
{
	if (w->rc == 0 && w->out.len)
		w->rc = zn_write_all(w->fd, w->out.data, w->out.len);
	w->out.len = 0;
	return w->rc;
}

static const struct zn_kind *kind_of(const struct zn_kind *const *kinds, const msgpack_object *map)
{
	const msgpack_object *name = zn_val_get(map, "kind");

	for (; name && kinds && *kinds; kinds++)
		if ((*kinds)->name && zn_val_is_text(name, (*kinds)->name))
			return *kinds;
	return NULL;
}

/* Only the paths that were asked for, each under its whole path. */
static int pick(struct zn_writer *w, const msgpack_object *map, msgpack_object *ret)
{
	msgpack_object_kv *kv = zn_arena_array(&w->scratch, w->n_paths, sizeof(*kv));
	uint32_t n = 0;

	if (!kv)
		return -ENOMEM;
	for (size_t i = 0; i < w->n_paths; i++) {
		const msgpack_object *v = zn_val_path(map, w->paths[i], &w->scratch);
		if (!v)
			continue;
		kv[n].key.type = MSGPACK_OBJECT_STR;
		kv[n].key.via.str.ptr = w->paths[i];
		kv[n].key.via.str.size = (uint32_t)strlen(w->paths[i]);
		kv[n++].val = *v;
	}
	*ret = (msgpack_object){ .type = MSGPACK_OBJECT_MAP, .via.map = { .size = n, .ptr = kv } };
	return 0;
}

static int put_json(struct zn_writer *w, const msgpack_object *map)
{
	int rc = zn_val_to_json(map, &w->out);

	zn_buf_addch(&w->out, '\n');
	return rc;
}

static int put_map(struct zn_writer *w, const struct zn_kind *kind, const msgpack_object *map)
{
	msgpack_object picked;

	if (w->table)
		return zn__table_put(w->table, kind, map, &w->out);
	if (w->opts.fields) {
		int rc = pick(w, map, &picked);
		if (rc < 0)
			return rc;
		map = &picked;
	}
	return w->opts.format == ZN_FORMAT_JSON ? put_json(w, map) : zn_val_pack(map, &w->out);
}

static int settle(struct zn_writer *w, int rc)
{
	if (rc == 0 && w->out.failed)
		rc = -ENOMEM;
	if (rc < 0)
		w->rc = rc;
	if (w->rc < 0)
		return w->rc;
	return w->opts.live || w->out.len >= FLUSH_AT ? zn_writer_flush(w) : 0;
}

int zn_writer_put_val(struct zn_writer *w, const struct zn_kind *const *kinds, const msgpack_object *map)
{
	if (w->rc < 0)
		return w->rc;
	zn_arena_reset(&w->scratch);
	return settle(w, map->type == MSGPACK_OBJECT_MAP ? put_map(w, kind_of(kinds, map), map) : -EINVAL);
}

static int unpack_and_put(struct zn_writer *w, const struct zn_kind *const *kinds, struct zn_bytes bytes)
{
	msgpack_object map;

	zn_arena_reset(&w->scratch);
	int rc = zn_val_unpack(bytes.p, bytes.n, 0, &w->scratch, &map, NULL);
	if (rc == 0)
		rc = map.type == MSGPACK_OBJECT_MAP ? put_map(w, kind_of(kinds, &map), &map) : -EINVAL;
	return rc;
}

int zn_writer_put_raw(struct zn_writer *w, const struct zn_kind *const *kinds, struct zn_bytes map)
{
	if (w->rc < 0)
		return w->rc;
	if (w->opts.format != ZN_FORMAT_MSGPACK || w->opts.fields)
		return settle(w, unpack_and_put(w, kinds, map));
	zn_buf_add(&w->out, map.p, map.n);
	return settle(w, 0);
}

static int put_struct(struct zn_writer *w, const struct zn_kind *kind, const void *strukt)
{
	msgpack_object map;

	w->record.len = 0;
	int rc = zn_encode(kind, strukt, &w->record);
	if (rc == 0)
		rc = zn_val_unpack(w->record.data, w->record.len, 0, &w->scratch, &map, NULL);
	return rc < 0 ? rc : put_map(w, kind, &map);
}

/* A kind without any of the keys that are asked for has nothing to say. */
static bool has_any_path(const struct zn_writer *w, const struct zn_kind *kind)
{
	char key[64];

	for (size_t i = 0; i < w->n_paths; i++) {
		snprintf(key, sizeof(key), "%.*s", (int)strcspn(w->paths[i], "."), w->paths[i]);
		if (zn_kind_field(kind, key) || (kind->name && !strcmp(key, "kind")))
			return true;
	}
	return !w->n_paths;
}

int zn_writer_put(struct zn_writer *w, const struct zn_kind *kind, const void *strukt)
{
	if (w->rc < 0 || !has_any_path(w, kind))
		return w->rc;
	zn_arena_reset(&w->scratch);
	if (w->opts.format == ZN_FORMAT_MSGPACK && !w->opts.fields)
		return settle(w, zn_encode(kind, strukt, &w->out));
	return settle(w, put_struct(w, kind, strukt));
}

int zn_writer_end(struct zn_writer *w)
{
	for (int more = 1; more > 0 && w->rc == 0 && w->table;) {
		more = zn__table_end(w->table, &w->out, FLUSH_AT);
		settle(w, more < 0 ? more : 0);
	}
	return zn_writer_flush(w);
}
