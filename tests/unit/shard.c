/* The headers of tar, and the samples that an index finds by them, whole archives and damaged ones. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "data/key.h"
#include "shard_help.h"
#include "tap.h"

static void same(const char *got, const char *want, const char *what)
{
	tap_ok(!strcmp(got, want), "%s: %s", what, got);
}

static int build(struct zn_buf *b, struct zn_index *x, struct zn_err *err)
{
	struct zn_blob blob = { b->len, shard_read, b };

	return zn_index_build(&blob, x, err);
}

/* "0+1024 1024+512/3072+512": the spans of each sample. */
static const char *spans(const struct zn_index *x)
{
	static char text[2048];
	size_t at = 0;

	text[0] = 0;
	for (uint64_t i = 0; i < x->n; i++) {
		struct zn_span s[8];
		size_t n = zn_index_spans(x, i, s, 8);
		for (size_t k = 0; k < n; k++)
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%llu+%llu", k ? "/" : i ? " " : "", (unsigned long long)s[k].offset, (unsigned long long)s[k].bytes);
	}
	return text;
}

static const char *flaws(const struct zn_index *x)
{
	static char text[2048];
	size_t at = 0;

	text[0] = 0;
	for (uint64_t i = 0; i < x->n_flaws; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%llu %s: %s", i ? "; " : "", (unsigned long long)x->flaws[i].offset,
		                       x->flaws[i].key ? x->flaws[i].key : "?", x->flaws[i].reason);
	return text;
}

static void hold(struct zn_buf *b, const char *want_spans, const char *want_flaws, const char *what)
{
	struct zn_err err = { .text = "" };
	struct zn_index x;
	int rc = build(b, &x, &err);

	if (rc < 0) {
		tap_ok(false, "%s: %s", what, err.text);
		return;
	}
	same(spans(&x), want_spans, what);
	same(flaws(&x), want_flaws, what);
	zn_index_done(&x);
	zn_buf_done(b);
	*b = (struct zn_buf){ 0 };
}

/* ---- one header ------------------------------------------------------------------------------------------- */

static void put_pax(struct zn_buf *to, const char *records)
{
	shard_text(to, "pax", records);
	char *h = to->data + to->len - 1024;
	h[156] = 'x';
	shard_sum(h);
}

static void names(void)
{
	struct zn_tar_head h;
	struct zn_buf b = { 0 };
	const char *why;
	size_t need;
	char long_name[301];

	shard_text(&b, "a/b.txt", "hello");
	tap_ok(zn_tar_head(b.data, b.len, &h, &need, &why) == 512 && h.kind == ZN_TAR_FILE && h.size == 5 && h.name_len == 7 && !memcmp(h.name, "a/b.txt", 7), "ustar");
	memcpy(b.data + 345, "some/where", 10);
	shard_sum(b.data);
	tap_ok(zn_tar_head(b.data, b.len, &h, &need, &why) == 512 && h.name_len == 18 && !memcmp(h.name, "some/where/a/b.txt", 18), "with a prefix");
	memcpy(b.data + 124, "\200\0\0\0\0\0\0\2\0\0\0\1", 12);
	shard_sum(b.data);
	tap_ok(zn_tar_head(b.data, b.len, &h, &need, &why) == 512 && h.size == (UINT64_C(2) << 24 << 8) + 1, "a size in base 256");
	memcpy(b.data + 124, "\377\377\377\377\377\377\377\377\377\377\377\377", 12);
	shard_sum(b.data);
	tap_ok(zn_tar_head(b.data, b.len, &h, &need, &why) == -EBADMSG && !strcmp(why, "the header's size is no number"), "one below 0 is refused");
	b.data[0] ^= 1;
	tap_ok(zn_tar_head(b.data, b.len, &h, &need, &why) == -EBADMSG && !strcmp(why, "the header's checksum is wrong"), "a bit that is wrong is seen");
	tap_ok(zn_tar_head(b.data, 511, &h, &need, &why) == 0 && need == 512, "half a header wants more");
	b.len = 0;
	memset(long_name, 'n', 300);
	long_name[300] = 0;
	shard_put(&b, 'L', "././@LongLink", long_name, 301);
	shard_text(&b, "short.txt", "x");
	tap_ok(zn_tar_head(b.data, b.len, &h, &need, &why) == 1536 && h.name_len == 300 && h.name[299] == 'n' && h.size == 1, "GNU's long name");
	tap_ok(zn_tar_head(b.data, 1024, &h, &need, &why) == 0 && need > 1024, "and it wants what follows");
	b.len = 0;
	put_pax(&b, "19 path=new/näm.jpg\n");
	shard_text(&b, "old.jpg", "xyz");
	ssize_t rc = zn_tar_head(b.data, b.len, &h, &need, &why);
	tap_ok(rc == -EBADMSG, "a pax record of a wrong length is refused");
	b.len = 0;
	put_pax(&b, "21 path=new/näm.jpg\n12 size=100\n");
	shard_text(&b, "old.jpg", "xyz");
	rc = zn_tar_head(b.data, b.len, &h, &need, &why);
	tap_ok(rc == 1536 && h.name_len == 12 && !memcmp(h.name, "new/näm.jpg", 12) && h.size == 100, "pax: path and size");
	b.len = 0;
	put_pax(&b, "22 GNU.sparse.major=1\n");
	shard_text(&b, "s.bin", "xyz");
	tap_ok(zn_tar_head(b.data, b.len, &h, &need, &why) > 0 && h.kind == ZN_TAR_SPARSE, "pax: sparse");
	b.len = 0;
	shard_put(&b, '5', "dir/", "", 0);
	tap_ok(zn_tar_head(b.data, b.len, &h, &need, &why) == 512 && h.kind == ZN_TAR_OTHER, "a directory");
	b.len = 0;
	shard_end(&b);
	tap_ok(zn_tar_head(b.data, b.len, &h, &need, &why) == 512 && h.kind == ZN_TAR_END, "the end");
	zn_buf_done(&b);
}

static void keys(void)
{
	static const struct { const char *name, *key, *field; } v[] = {
		{ "a/b.jpg", "a/b", "jpg" }, { "./a/b.seg.png", "a/b", "seg.png" }, { "a.d/b.cls", "a.d/b", "cls" }, { "b.JPG", "b", "JPG" },
		{ "a/b", NULL, NULL }, { "a/.hidden", NULL, NULL }, { "a/b.", NULL, NULL }, { "__index__.json", NULL, NULL }, { "a\nb.txt", "a\nb", "txt" },
	};

	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		struct zn_key k;
		bool is = zn_key_split(v[i].name, strlen(v[i].name), &k);
		tap_ok(is == (v[i].key != NULL) && (!is || (k.key_len == strlen(v[i].key) && !memcmp(k.key, v[i].key, k.key_len) &&
		       k.field_len == strlen(v[i].field) && !memcmp(k.field, v[i].field, k.field_len))), "name %zu: %s", i, v[i].key ? v[i].field : "none");
	}
}

/* ---- whole archives --------------------------------------------------------------------------------------- */

static void pair(struct zn_buf *b, const char *key)
{
	char name[64];

	snprintf(name, sizeof(name), "%s.jpg", key);
	shard_text(b, name, "pixels");
	snprintf(name, sizeof(name), "%s.cls", key);
	shard_text(b, name, "7");
}

static void whole(void)
{
	struct zn_buf b = { 0 };

	pair(&b, "0");
	pair(&b, "1");
	shard_end(&b);
	hold(&b, "0+2048 2048+2048", "", "members of one key are a sample");
	shard_text(&b, "0.jpg", "a");
	shard_text(&b, "1.jpg", "b");
	shard_text(&b, "0.cls", "1");
	shard_text(&b, "1.cls", "2");
	hold(&b, "0+1024/2048+1024 1024+1024/3072+1024", "", "also when they are not next to each other, and no end is written");
	shard_put(&b, '5', "d/", "", 0);
	shard_text(&b, "d/0.txt", "a");
	shard_put(&b, '2', "d/1.txt", "", 0);
	shard_text(&b, "README", "text");
	shard_text(&b, "d/2.txt", "b");
	hold(&b, "512+1024 3072+1024", "", "directories, links and names without a field are none");
	pair(&b, "0");
	pair(&b, "0");
	hold(&b, "0+2048 2048+2048", "", "a field that comes again begins another sample of the same key");
	shard_text(&b, "0.costarring", "a");
	shard_text(&b, "0.liquid", "b");
	hold(&b, "0+2048", "", "fields whose names have the same hash of 32 bits are two");
	pair(&b, "0");
	shard_end(&b);
	pair(&b, "1");
	shard_end(&b);
	hold(&b, "0+2048 3072+2048", "", "an archive behind an archive is read on");
	shard_end(&b);
	hold(&b, "", "", "an archive may have nothing in it");
	b = (struct zn_buf){ 0 };
	hold(&b, "", "", "nor a file");
}

static void damaged(void)
{
	struct zn_buf b = { 0 };

	for (int i = 0; i < 4; i++)
		pair(&b, (char[]){ (char)('0' + i), 0 });
	b.data[4096 + 10] ^= 1;
	hold(&b, "0+2048 2048+2048 6144+2048", "4096 2: the header's checksum is wrong", "a bad header loses its sample and no other one");
	for (int i = 0; i < 4; i++)
		pair(&b, (char[]){ (char)('0' + i), 0 });
	b.data[3072 + 10] ^= 1;
	hold(&b, "0+2048 4096+2048 6144+2048", "3072 1: the header's checksum is wrong", "so does that of its last member");
	for (int i = 0; i < 4; i++)
		shard_text(&b, (char[]){ (char)('0' + i), '.', 't', 0 }, "x");
	b.data[1024 + 10] ^= 1;
	hold(&b, "0+1024 2048+1024 3072+1024", "1024 ?: the header's checksum is wrong", "where it was all of the sample nobody knows the key");
	for (int i = 0; i < 4; i++)
		pair(&b, (char[]){ (char)('0' + i), 0 });
	memset(b.data + 2048, 0, 512);
	hold(&b, "0+2048 4096+2048 6144+2048", "2048 1: zeros where a header should be", "zeros are no end when something follows");
	for (int i = 0; i < 3; i++)
		pair(&b, (char[]){ (char)('0' + i), 0 });
	b.len -= 512;
	hold(&b, "0+2048 2048+2048", "5120 2: the shard ends within it", "one that is cut off loses the last");
	for (int i = 0; i < 3; i++)
		pair(&b, (char[]){ (char)('0' + i), 0 });
	b.len -= 1000;
	hold(&b, "0+2048 2048+2048", "5120 2: the shard ends within a header", "also within a header");
	for (int i = 0; i < 2; i++)
		pair(&b, (char[]){ (char)('0' + i), 0 });
	b.data[2048 + 10] ^= 1;
	hold(&b, "0+2048", "2048 1: the header's checksum is wrong", "where all lie beside damage they are held against each other");
	pair(&b, "0");
	put_pax(&b, "22 GNU.sparse.major=1\n");
	shard_text(&b, "1.jpg", "holes");
	shard_text(&b, "1.cls", "1");
	pair(&b, "2");
	hold(&b, "0+2048 5120+2048", "2048 1: a sparse member is not read: pack it without --sparse", "a sparse member is refused");
	struct zn_err err = { .text = "" };
	struct zn_index x;
	zn_buf_add(&b, "no archive at all, but some text", 32);
	tap_ok(build(&b, &x, &err) == -EBADMSG && strstr(err.text, "no tar archive"), "what is no archive is refused: %s", err.text);
	zn_buf_done(&b);
}

/* ---- kept in a file --------------------------------------------------------------------------------------- */

static void kept(const char *path)
{
	struct zn_index_of of = { 8192, 123456789 };
	struct zn_err err = { .text = "" };
	struct zn_buf b = { 0 };
	struct zn_index x, y;
	const char *why;
	char first[2048];

	for (int i = 0; i < 3; i++)
		pair(&b, (char[]){ (char)('0' + i), 0 });
	shard_text(&b, "0.late", "z");
	b.data[2048 + 3] ^= 1;
	of.size = b.len;
	tap_ok(build(&b, &x, &err) == 0 && x.n == 2 && x.n_flaws == 1, "an index with a part elsewhere and a flaw");
	tap_ok(zn_index_read(path, &of, &y, &why) == 0 && !strcmp(why, "there is none"), "none is there at first");
	tap_ok(zn_index_write(path, &of, &x, &err) == 0 && zn_index_read(path, &of, &y, &why) == 1, "it is written and read");
	strcpy(first, spans(&x));
	same(spans(&y), first, "what is read is what was written");
	strcpy(first, flaws(&x));
	same(flaws(&y), first, "so is what is lost");
	zn_index_done(&y);
	of.mtime_ns++;
	tap_ok(zn_index_read(path, &of, &y, &why) == 0 && !strcmp(why, "the shard has changed since"), "one of an older shard is not taken");
	of.mtime_ns--;
	struct zn_arena a = { 0 };
	char *text;
	size_t n;
	unsigned taken = 0;
	FILE *f = fopen(path, "r");
	n = f ? fread((text = zn_arena_room(&a, 4096)), 1, 4096, f) : 0;
	if (f)
		fclose(f);
	for (size_t i = 0; i < 2 * n; i++) { /* each byte in turn wrong, each length in turn too short */
		f = fopen(path, "w");
		text[i % n] ^= i < n ? 0x55 : 0;
		if (!f || fwrite(text, 1, i < n ? n : i - n, f) != (i < n ? n : i - n) || fclose(f))
			break;
		text[i % n] ^= i < n ? 0x55 : 0;
		taken += zn_index_read(path, &of, &y, &why) == 1;
	}
	tap_ok(n > 0 && !taken, "a byte that is wrong or missing is always seen, in %zu bytes", n);
	unlink(path);
	zn_arena_done(&a);
	zn_index_done(&x);
	zn_buf_done(&b);
}

/* Who writes an index can say anything, but not have all of it looked at again for each sample, or more kept than a shard can have. */
static void hostile_file(const char *path)
{
	enum { LONG = 65 };
	uint64_t offsets[LONG + 1] = { 0 };
	uint32_t blocks[LONG + 1];
	struct zn__part parts[LONG + 1];
	struct zn_index_of of = { 512 * LONG, 1 };
	struct zn_index x = { .n = 1, .offsets = offsets, .blocks = blocks, .parts = parts, .n_parts = LONG + 1 }, y;
	struct zn_err err = { .text = "" };
	const char *why;

	for (uint32_t i = 0; i <= LONG; i++)
		parts[i] = (struct zn__part){ 0, 1, i < LONG ? i + 1 : 0 };
	blocks[0] = ZN__IS_PARTS | 1;
	tap_ok(zn_index_write(path, &of, &x, &err) == 0 && zn_index_read(path, &of, &y, &why) == -EBADMSG, "a sample of more parts than members is refused");
	blocks[0] = ZN__IS_PARTS | 2;
	int rc = zn_index_write(path, &of, &x, &err) == 0 ? zn_index_read(path, &of, &y, &why) : -1;
	tap_ok(rc == 1, "one of as many is not");
	if (rc == 1)
		zn_index_done(&y);
	x.n = LONG + 1;
	x.n_parts = 1;
	for (uint32_t i = 0; i <= LONG; i++)
		blocks[i] = 1;
	of.size = 512 * 10;
	tap_ok(zn_index_write(path, &of, &x, &err) == 0 && zn_index_read(path, &of, &y, &why) == -EBADMSG, "more samples than the shard has blocks are refused");
	unlink(path);
}

/* ---- what would take too long ----------------------------------------------------------------------------- */

struct counted { struct zn_buf *b; uint64_t bytes; };

static ssize_t counted_read(void *arg, void *p, size_t n, uint64_t at)
{
	struct counted *c = arg;
	ssize_t got = shard_read(c->b, p, n, at);

	c->bytes += got > 0 ? (uint64_t)got : 0;
	return got;
}

/* Bytes that were read for an index, and how many samples it has. */
static uint64_t cost(struct zn_buf *b, uint64_t *ret_n)
{
	struct counted c = { b, 0 };
	struct zn_blob blob = { b->len, counted_read, &c };
	struct zn_err err;
	struct zn_index x;

	*ret_n = 0;
	if (zn_index_build(&blob, &x, &err) == 0) {
		*ret_n = x.n;
		zn_index_done(&x);
	}
	return c.bytes;
}

struct unreadable { struct zn_buf *b; uint64_t page; };

static ssize_t unreadable_read(void *arg, void *p, size_t n, uint64_t at)
{
	struct unreadable *u = arg;

	return at < (u->page + 1) * 4096 && at + n > u->page * 4096 ? -EIO : shard_read(u->b, p, n, at);
}

/* As a disk has it with a bad page: whose header lies there is lost, and no one else. */
static void unreadable_pages(void)
{
	enum { N = 120 };
	static char bytes[9000];
	struct zn_buf b = { 0 };
	uint64_t heads[N], bad = 0;

	memset(bytes, 'x', sizeof(bytes));
	for (uint64_t i = 0; i < N; i++) {
		char name[32];
		snprintf(name, sizeof(name), "%llu.txt", (unsigned long long)i);
		heads[i] = b.len;
		shard_put(&b, '0', name, bytes, i * 977 % sizeof(bytes));
	}
	for (uint64_t page = 0; page < b.len / 4096; page++) {
		struct unreadable u = { &b, page };
		struct zn_blob blob = { b.len, unreadable_read, &u };
		struct zn_err err;
		struct zn_index x;
		uint64_t want = N;
		for (uint64_t i = 0; i < N; i++)
			want -= heads[i] / 4096 == page;
		if (zn_index_build(&blob, &x, &err) < 0) {
			bad++;
			continue;
		}
		bad += x.n != want || x.is_partial != (want < N) || (want < N && x.n_flaws != 1);
		zn_index_done(&x);
	}
	tap_ok(bad == 0 && b.len > 400000, "of %llu pages each that can't be read costs those whose headers it has (%llu do not)",
	       (unsigned long long)(b.len / 4096), (unsigned long long)bad);
	zn_buf_done(&b);
}

static void hostile_archives(void)
{
	struct zn_buf b = { 0 };
	uint64_t n, bytes;

	for (int i = 0; i < 4000; i++)
		shard_put(&b, 'x', "pax", "", 0);
	pair(&b, "0");
	bytes = cost(&b, &n);
	tap_ok(n == 1 && bytes < 10 * b.len, "headers behind headers are read %.1f times", (double)bytes / (double)b.len);
	b.len = 0;
	for (int i = 0; i < 4000; i++) { /* each wants much behind it looked at, which makes no sense then */
		shard_put(&b, 'x', "pax", "", 0);
		memcpy(b.data + b.len - 512 + 124, "00003000000", 11);
		shard_sum(b.data + b.len - 512);
	}
	pair(&b, "0");
	bytes = cost(&b, &n);
	tap_ok(n == 1 && bytes < 10 * b.len, "long headers that make no sense are read %.1f times", (double)bytes / (double)b.len);
	zn_buf_done(&b);
}

/* Nothing that is not there is ever read, and there is always an end. */
static void garbage(void)
{
	uint64_t random = 1;
	unsigned ok = 0;

	for (int round = 0; round < 300; round++) {
		struct zn_buf b = { 0 };
		struct zn_err err;
		struct zn_index x;
		for (int i = 0; i < 5; i++)
			pair(&b, (char[]){ (char)('0' + i), 0 });
		for (int i = 0; i < 1 + round % 20; i++) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			b.data[(random >> 33) % b.len] = (char)(random >> 25);
		}
		if (round % 3 == 0)
			b.len = (random >> 33) % b.len;
		char *exact = malloc(b.len ? b.len : 1); /* so that a sanitizer sees the end */
		memcpy(exact, b.data, b.len);
		struct zn_buf e = { .data = exact, .len = b.len };
		if (build(&e, &x, &err) == 0) {
			bool within = true;
			for (uint64_t i = 0; i < x.n; i++) {
				struct zn_span s[16];
				size_t n = zn_index_spans(&x, i, s, 16);
				for (size_t k = 0; k < n; k++)
					within &= s[k].offset < e.len && s[k].bytes;
			}
			ok += within;
			zn_index_done(&x);
		} else {
			ok++;
		}
		free(exact);
		zn_buf_done(&b);
	}
	tap_ok(ok == 300, "bytes at random: an index within the archive, or a refusal");
}

int main(void)
{
	char path[] = "/tmp/zn-shard-XXXXXX";

	close(mkstemp(path));
	unlink(path);
	names();
	keys();
	whole();
	damaged();
	kept(path);
	hostile_file(path);
	hostile_archives();
	unreadable_pages();
	garbage();
	return tap_done();
}
