/* table: records of one kind are a block; a block has columns, which the caller, the kind's field table or
 * the records themselves name, and rows.  Rows wait until the end, because widths and, for kinds that we
 * do not know, columns depend on all of them.  They do not wait in a live table (fixed widths), and not
 * in CSV as long as there is one kind whose columns are known from the start.
 */
#include "rec/table.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/text.h"
#include "rec/cell.h"

enum { GAP = 2, LEAST_CUT = 8, WITH_MAX = 32 };

struct column {
	char *path;
	size_t path_len;
	const char *heading;
	enum zn_show show;
	const char *with;           /* keys of which the first that is there is shown behind it, as in zn_field */
	size_t index;
	bool is_deep;               /* may be a path through maps */
	uint32_t usual;             /* where its key was in the last record that had it */
	size_t width;               /* widest cell or heading */
	bool has_text, has_number;  /* what its cells are */
	UT_hash_handle hh;
};

struct row {
	struct row *next;
	size_t n;
	bool is_plain;              /* each cell is as wide as it has bytes */
	uint32_t len[];             /* of each cell; their texts follow, one behind the other */
};

struct block {
	struct block *next;
	char *name;                 /* "" for records without a kind */
	const struct zn_kind *kind;
	struct column **columns, *by_path;
	size_t n, room;
	bool open;                  /* new keys make new columns */
	size_t shown;               /* columns in the heading that is out; 0: none is */
	struct row *first, **last;
	UT_hash_handle hh;
};

struct zn_table {
	const struct zn_writer_opts *opts;
	const char *const *paths;
	size_t n_paths;
	struct block *blocks, **last, *by_name;
	const struct block *latest; /* whose rows went out last */
	bool any_out;
	struct zn_arena arena;      /* blocks, columns and rows that wait */
	struct zn_arena scratch;    /* the row in hand */
	struct zn_buf text;
};

int zn__table_new(const struct zn_writer_opts *opts, const char *const *paths, size_t n, struct zn_table **ret)
{
	struct zn_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->opts = opts;
	t->paths = paths;
	t->n_paths = n;
	t->last = &t->blocks;
	*ret = t;
	return 0;
}

void zn__table_free(struct zn_table *t)
{
	if (!t)
		return;
	for (struct block *b = t->blocks; b; b = b->next) {
		HASH_CLEAR(hh, b->by_path);
		free(b->columns);
	}
	HASH_CLEAR(hh, t->by_name);
	zn_arena_done(&t->arena);
	zn_arena_done(&t->scratch);
	zn_buf_done(&t->text);
	free(t);
}

static bool is_csv(const struct zn_table *t)
{
	return t->opts->format == ZN_FORMAT_CSV;
}

/* ---- columns ---------------------------------------------------------------------------------- */

static char *upper(struct zn_arena *a, const char *text, struct zn_buf *scratch)
{
	scratch->len = 0;
	zn_text_escape(text, strlen(text), scratch);
	char *copy = scratch->failed ? NULL : zn_arena_memdup(a, scratch->data, scratch->len);
	for (char *p = copy; p && *p; p++)
		*p = (char)toupper((unsigned char)*p);
	return copy;
}

static int block_widen(struct block *b)
{
	if (b->n < b->room)
		return 0;
	size_t room = b->room ? b->room * 2 : 16;
	struct column **more = realloc(b->columns, room * sizeof(*more));
	if (!more)
		return -ENOMEM;
	b->columns = more;
	b->room = room;
	return 0;
}

static int column_add(struct zn_table *t, struct block *b, const char *path, size_t n)
{
	struct column *c = zn_arena_new(&t->arena, struct column);
	char *copy = zn_arena_memdup(&t->arena, path, n);

	if (!c || !copy || block_widen(b) < 0)
		return -ENOMEM;
	const struct zn_field *f = b->kind ? zn__field_at(b->kind, copy) : NULL;
	/* A path that was asked for is its own heading; one that the kind chose has that of its last step. */
	bool named = f && f->heading && *f->heading && (!t->n_paths || !strchr(copy, '.'));
	const char *heading = named ? f->heading : upper(&t->arena, copy, &t->text);
	if (!heading)
		return -ENOMEM;
	*c = (struct column){ .path = copy, .path_len = n, .heading = heading, .show = zn__show_of(f, copy), .index = b->n,
	                      .with = f ? f->with : NULL,
	                      .is_deep = strchr(copy, '.') != NULL,
	                      .width = t->opts->no_heading ? 0 : zn_text_width(heading, strlen(heading)) };
	HASH_ADD_KEYPTR(hh, b->by_path, c->path, n, c);
	if (!c->hh.tbl)
		return -ENOMEM;
	b->columns[b->n++] = c;
	return 0;
}

static int columns_of_list(struct zn_table *t, struct block *b, const char *list)
{
	int rc = 0;

	for (size_t n; *list && rc == 0; list += n + (list[n] == ',')) {
		n = strcspn(list, ",");
		rc = n ? column_add(t, b, list, n) : 0;
	}
	return rc;
}

static int columns_of_kind(struct zn_table *t, struct block *b)
{
	int rc = 0;

	if (b->kind->columns)
		return columns_of_list(t, b, b->kind->columns);
	for (const struct zn_field *f = b->kind->fields; f->type != ZN_T_END && rc == 0; f++)
		if (f->heading && *f->heading)
			rc = column_add(t, b, f->key, strlen(f->key));
	return rc;
}

static int columns_make(struct zn_table *t, struct block *b)
{
	int rc = 0;

	for (size_t i = 0; i < t->n_paths && rc == 0; i++)
		rc = column_add(t, b, t->paths[i], strlen(t->paths[i]));
	if (t->n_paths)
		return rc;
	if (b->kind)
		return columns_of_kind(t, b);
	b->open = true;
	return 0;
}

/* A table has its blocks to say the kind; CSV of unknown kinds has a column. */
static bool is_column(const struct zn_table *t, const msgpack_object_str *key)
{
	return is_csv(t) || key->size != 4 || memcmp(key->ptr, "kind", 4) != 0;
}

static int columns_grow(struct zn_table *t, struct block *b, const msgpack_object_map *map)
{
	for (uint32_t i = 0; i < map->size; i++) {
		const msgpack_object_str *key = &map->ptr[i].key.via.str;
		struct column *c;
		HASH_FIND(hh, b->by_path, key->ptr, key->size, c);
		if (c || !is_column(t, key))
			continue;
		int rc = column_add(t, b, key->ptr, key->size);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int block_get(struct zn_table *t, const struct zn_kind *kind, const msgpack_object *map, struct block **ret)
{
	const msgpack_object *v = zn_val_get(map, "kind");
	bool named = v && v->type == MSGPACK_OBJECT_STR;
	const char *name = named ? v->via.str.ptr : "";
	size_t n = named ? v->via.str.size : 0;
	struct block *b;

	HASH_FIND(hh, t->by_name, name, n, b);
	if (!b) {
		b = zn_arena_new(&t->arena, struct block);
		char *copy = zn_arena_memdup(&t->arena, name, n);
		if (!b || !copy)
			return -ENOMEM;
		*b = (struct block){ .name = copy, .kind = kind, .last = &b->first };
		HASH_ADD_KEYPTR(hh, t->by_name, b->name, n, b);
		if (!b->hh.tbl)
			return -ENOMEM;
		*t->last = b;
		t->last = &b->next;
		int rc = columns_make(t, b);
		if (rc < 0)
			return rc;
	}
	*ret = b;
	return 0;
}

/* ---- rows ------------------------------------------------------------------------------------- */

static bool is_number(const msgpack_object *v)
{
	switch (v->type) {
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		return true;
	default:
		return false;
	}
}

/* Behind a value of the column; the keys are beside the last one of its path. */
static void add_with(struct zn_table *t, const msgpack_object *map, const struct column *c, struct zn_buf *to)
{
	const char *dot = strrchr(c->path, '.'), *keys = c->with;
	const msgpack_object *v = NULL;
	char path[128];

	for (size_t n; *keys && !v; keys += n + (keys[n] == '|')) {
		n = strcspn(keys, "|");
		snprintf(path, sizeof(path), "%.*s%.*s", dot ? (int)(dot + 1 - c->path) : 0, c->path, (int)n, keys);
		v = zn_val_path(map, path, &t->scratch);
	}
	if (!v)
		return;
	zn_buf_addch(to, '.');
	size_t from = to->len;
	zn__cell_human(v, ZN_SHOW_PLAIN, to);
	if (to->len - from <= WITH_MAX)
		return;
	to->len = from + WITH_MAX - 3;
	zn_buf_addstr(to, "...");
}

/* Its text comes to the end of t->text. */
static int cell_make(struct zn_table *t, struct column *c, const msgpack_object *map, const msgpack_object *v, uint32_t *ret_len,
                     bool *is_plain)
{
	size_t at = t->text.len;
	int rc = 0;

	if (is_csv(t))
		rc = zn__cell_csv(v, &t->text);
	else
		zn__cell_human(v, c->show, &t->text);
	if (c->with && !is_csv(t))
		add_with(t, map, c, &t->text);
	if (rc == 0 && t->text.failed)
		rc = -ENOMEM;
	size_t len = t->text.len - at, width = len && rc == 0 ? zn_text_width(t->text.data + at, len) : 0;
	if (rc == 0 && len > UINT32_MAX)
		rc = -EOVERFLOW;
	if (rc < 0)
		return rc;
	if (width > c->width && !t->opts->live)
		c->width = width;
	if (v->type != MSGPACK_OBJECT_NIL)
		*(is_number(v) ? &c->has_number : &c->has_text) = true;
	*ret_len = (uint32_t)len;
	*is_plain &= width == len;
	return 0;
}

static inline bool is_key_of(const msgpack_object *key, const struct column *c)
{
	return key->via.str.size == c->path_len && !memcmp(key->via.str.ptr, c->path, c->path_len);
}

/* Records of one kind mostly have their keys at the same places. */
static const msgpack_object *find_value(struct zn_table *t, struct column *c, const msgpack_object *map)
{
	const msgpack_object_map *m = &map->via.map;

	if (c->usual < m->size && is_key_of(&m->ptr[c->usual].key, c))
		return &m->ptr[c->usual].val;
	for (uint32_t i = 0; i < m->size; i++)
		if (is_key_of(&m->ptr[i].key, c)) {
			c->usual = i;
			return &m->ptr[i].val;
		}
	return c->is_deep ? zn_val_path(map, c->path, &t->scratch) : NULL;
}

/* The value of each column, NULL where there is none. */
static const msgpack_object **find_values(struct zn_table *t, const struct block *b, const msgpack_object *map)
{
	const msgpack_object **v = zn_arena_array(&t->scratch, b->n + 1, sizeof(*v));

	for (size_t i = 0; v && !b->open && i < b->n; i++)
		v[i] = find_value(t, b->columns[i], map);
	for (uint32_t i = 0; v && b->open && i < map->via.map.size; i++) {
		const msgpack_object_kv *kv = &map->via.map.ptr[i];
		struct column *c;
		HASH_FIND(hh, b->by_path, kv->key.via.str.ptr, kv->key.via.str.size, c);
		if (c)
			v[c->index] = &kv->val;
	}
	return v;
}

static int row_make(struct zn_table *t, struct block *b, const msgpack_object *map, struct zn_arena *a,
                    struct row **ret)
{
	const msgpack_object **v = find_values(t, b, map);
	uint32_t *len = zn_arena_array(&t->scratch, b->n + 1, sizeof(*len));
	int rc = v && len ? 0 : -ENOMEM;
	bool is_plain = true;

	t->text.len = 0;
	for (size_t i = 0; i < b->n && rc == 0; i++)
		rc = v[i] ? cell_make(t, b->columns[i], map, v[i], &len[i], &is_plain) : 0;
	if (rc < 0)
		return rc;
	struct row *row = zn_arena_alloc(a, sizeof(*row) + b->n * sizeof(*len) + t->text.len);
	if (!row)
		return -ENOMEM;
	row->n = b->n;
	row->is_plain = is_plain;
	memcpy(row->len, len, b->n * sizeof(*len));
	if (t->text.len) /* else there may be no data either */
		memcpy(row->len + b->n, t->text.data, t->text.len);
	*ret = row;
	return 0;
}

/* ---- layout ----------------------------------------------------------------------------------- */

/* Times line up on the left like text, but are never cut. */
static bool is_right(const struct column *c)
{
	return c->has_number && !c->has_text && c->show != ZN_SHOW_TIME;
}

/* A live table can't look ahead: these fit what usually comes. */
static void set_fixed_widths(struct block *b)
{
	static const size_t usual[] = { [ZN_SHOW_PLAIN] = 8, [ZN_SHOW_BYTES] = 8, [ZN_SHOW_TIME] = 19,
	                                [ZN_SHOW_DUR] = 8, [ZN_SHOW_TEXT] = 16, [ZN_SHOW_MAP] = 16 };

	for (size_t i = 0; i < b->n; i++)
		if (b->columns[i]->width < usual[b->columns[i]->show])
			b->columns[i]->width = usual[b->columns[i]->show];
}

/* Makes the last text column narrower until the line fits. */
static void fit_width(struct block *b, size_t limit)
{
	struct column *last = NULL;
	size_t total = 0;

	for (size_t i = 0; i < b->n; i++) {
		total += b->columns[i]->width + (i ? GAP : 0);
		if (b->columns[i]->has_text && b->columns[i]->show != ZN_SHOW_TIME)
			last = b->columns[i];
	}
	if (!limit || total <= limit || !last)
		return;
	size_t over = total - limit;
	size_t least = last->width < LEAST_CUT ? last->width : LEAST_CUT;
	last->width = last->width > over + least ? last->width - over : least;
}

/* What a cell needs at most, with the gap before it. */
static size_t cell_room(const struct column *c, size_t len)
{
	return GAP + len + 1 + c->width;
}

static char *blanks(char *to, size_t n)
{
	memset(to, ' ', n);
	return to + n;
}

static char *copy(char *to, const char *text, size_t n)
{
	memcpy(to, text, n);
	return to + n;
}

/* Returns its end. */
static char *put_cell(const struct column *c, const char *text, size_t len, size_t width, bool may_cut, char *to)
{
	if (may_cut && width > c->width) {
		len = zn_text_fit(text, len, c->width - 1);
		width = zn_text_width(text, len) + 1;
		to = copy(to, text, len);
		*to++ = '+';
		return blanks(to, c->width - width);
	}
	size_t blank = c->width > width ? c->width - width : 0;
	if (is_right(c))
		to = blanks(to, blank);
	to = copy(to, text, len);
	return is_right(c) ? to : blanks(to, blank);
}

/* Without the blanks at its end. */
static void end_line(struct zn_buf *out, const char *begin, char *end)
{
	while (end > begin && end[-1] == ' ')
		end--;
	*end++ = '\n';
	out->len = (size_t)(end - out->data);
}

static void put_table_heading(const struct zn_table *t, const struct block *b, struct zn_buf *out)
{
	size_t room = 1;

	if (t->opts->color)
		zn_buf_addstr(out, "\033[1m");
	for (size_t i = 0; i < b->n; i++)
		room += cell_room(b->columns[i], strlen(b->columns[i]->heading));
	char *begin = zn_buf_room(out, room), *to = begin;
	if (!to)
		return;
	for (size_t i = 0; i < b->n; i++) {
		const char *text = b->columns[i]->heading;
		size_t len = strlen(text);
		to = put_cell(b->columns[i], text, len, zn_text_width(text, len), !t->opts->live, blanks(to, i ? GAP : 0));
	}
	end_line(out, begin, to);
	if (t->opts->color) {
		out->len--;
		zn_buf_addstr(out, "\033[0m\n");
	}
}

static void put_table_row(const struct zn_table *t, const struct block *b, const struct row *row,
                          struct zn_buf *out)
{
	const char *text = (const char *)(row->len + row->n);
	size_t room = 1;

	for (size_t i = 0; i < row->n; i++)
		room += cell_room(b->columns[i], row->len[i]);
	char *begin = zn_buf_room(out, room), *to = begin;
	if (!to)
		return;
	for (size_t i = 0; i < row->n; text += row->len[i++]) {
		size_t width = row->is_plain ? row->len[i] : zn_text_width(text, row->len[i]);
		to = put_cell(b->columns[i], text, row->len[i], width, !t->opts->live, blanks(to, i ? GAP : 0));
	}
	end_line(out, begin, to);
}

static void put_csv_heading(const struct block *b, struct zn_buf *out)
{
	for (size_t i = 0; i < b->n; i++) {
		if (i)
			zn_buf_addch(out, ',');
		zn__csv_quote(b->columns[i]->path, strlen(b->columns[i]->path), out);
	}
	zn_buf_addch(out, '\n');
}

static void put_csv_row(const struct block *b, const struct row *row, struct zn_buf *out)
{
	const char *text = (const char *)(row->len + row->n);

	for (size_t i = 0; i < b->n; i++) {
		if (i)
			zn_buf_addch(out, ',');
		if (i < row->n) {
			zn_buf_add(out, text, row->len[i]);
			text += row->len[i];
		}
	}
	zn_buf_addch(out, '\n');
}

static void put_heading(struct zn_table *t, struct block *b, struct zn_buf *out)
{
	if (t->any_out && !(t->opts->no_heading && is_csv(t)))
		zn_buf_addch(out, '\n');
	if (t->opts->live && !is_csv(t))
		set_fixed_widths(b);
	if (!t->opts->no_heading) {
		if (is_csv(t))
			put_csv_heading(b, out);
		else
			put_table_heading(t, b, out);
	}
	b->shown = b->n;
	t->latest = b;
}

static void put_row(struct zn_table *t, struct block *b, const struct row *row, struct zn_buf *out)
{
	if (t->latest != b || b->shown != b->n)
		put_heading(t, b, out);
	if (is_csv(t))
		put_csv_row(b, row, out);
	else
		put_table_row(t, b, row, out);
	t->any_out = true;
}

/* ----------------------------------------------------------------------------------------------- */

static bool goes_out_now(const struct zn_table *t, const struct block *b)
{
	return t->opts->live || (is_csv(t) && !b->open && b == t->blocks);
}

/* With nothing to show in the first record the columns' sides would be guessed wrong: the kind knows. */
static void set_sides(struct block *b)
{
	for (size_t i = 0; i < b->n; i++) {
		struct column *c = b->columns[i];
		const struct zn_field *f = b->kind ? zn__field_at(b->kind, c->path) : NULL;
		if (f && !c->has_text && !c->has_number) {
			c->has_number = f->type != ZN_T_BOOL && f->type != ZN_T_OBOOL && f->type < ZN_T_STR;
			c->has_text = !c->has_number;
		}
	}
}

int zn__table_put(struct zn_table *t, const struct zn_kind *kind, const msgpack_object *map, struct zn_buf *out)
{
	struct block *b;
	struct row *row;

	zn_arena_reset(&t->scratch);
	int rc = block_get(t, kind, map, &b);
	if (rc == 0 && b->open)
		rc = columns_grow(t, b, &map->via.map);
	bool now = rc == 0 && goes_out_now(t, b);
	if (rc == 0)
		rc = row_make(t, b, map, now ? &t->scratch : &t->arena, &row);
	if (rc < 0)
		return rc;
	if (now) {
		set_sides(b);
		put_row(t, b, row, out);
	} else {
		*b->last = row;
		b->last = &row->next;
	}
	return out->failed ? -ENOMEM : 0;
}

int zn__table_end(struct zn_table *t, struct zn_buf *out, size_t enough)
{
	for (struct block *b = t->blocks; b; b = b->next) {
		if (b->first && b->last && !is_csv(t)) {
			set_sides(b);
			fit_width(b, (size_t)t->opts->width);
		}
		b->last = NULL; /* it is laid out */
		for (; b->first; b->first = b->first->next) {
			if (out->len >= enough)
				return out->failed ? -ENOMEM : 1;
			put_row(t, b, b->first, out);
		}
	}
	return out->failed ? -ENOMEM : 0;
}
