#include "data/load.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/grow.h"

enum { PAGE = 4096, REQUEST = 1 << 20, PIECES_MAX = 1024 };

/* ---- what is to be read ----------------------------------------------------------------------------------- */

static int add_run(struct zn__load *load, const struct zn__piece *p)
{
	if (!zn_grow(&load->runs, load->n_runs, &load->cap_runs, sizeof(*load->runs)))
		return -ENOMEM;
	load->runs[load->n_runs++] = (struct zn__run){ .source = p->source, .file = p->file, .fd = -1, .own_fd = -1, .at = p->offset, .bytes = p->bytes };
	return 0;
}

static bool goes_on(const struct zn__run *r, const struct zn__piece *p)
{
	return r->source == p->source && r->file == p->file && r->at + r->bytes == p->offset;
}

static int add_piece(struct zn__load *load, struct zn__piece p)
{
	struct zn__run *last = load->n_runs ? &load->runs[load->n_runs - 1] : NULL;
	int rc = 0;

	if (!zn_grow(&load->pieces, load->n_pieces, &load->cap_pieces, sizeof(*load->pieces)))
		return -ENOMEM;
	if (last && goes_on(last, &p))
		last->bytes += p.bytes;
	else
		rc = add_run(load, &p);
	p.run = load->n_runs - 1;
	load->pieces[load->n_pieces++] = p;
	return rc;
}

static int add_shard_pieces(struct zn__load *load, const struct zn_source *s, uint64_t sample, uint64_t most, const char **ret_why)
{
	struct zn_span spans[PIECES_MAX];
	size_t n = zn_index_spans(&s->index, sample, spans, PIECES_MAX);
	uint64_t sum = 0;
	int rc = 0;

	for (size_t i = 0; i < n && i < PIECES_MAX; i++)
		sum += spans[i].bytes;
	*ret_why = n > PIECES_MAX ? "its members lie in too many places" : sum > most ? "it is larger than the memory that was allowed" : NULL;
	for (size_t i = 0; i < n && rc == 0 && !*ret_why; i++) {
		uint64_t end = spans[i].offset + spans[i].bytes;
		rc = add_piece(load, (struct zn__piece){ .source = s, .offset = spans[i].offset, .bytes = (end < s->size ? end : s->size) - spans[i].offset });
	}
	return rc;
}

static int add_file_pieces(struct zn__load *load, const struct zn_source *s, uint64_t sample, uint64_t most, const char **ret_why)
{
	const struct zn__files *f = &s->samples[sample];
	uint64_t left = most;
	int rc = 0;

	*ret_why = NULL;
	for (uint32_t i = f->first; i < f->first + f->n && !*ret_why; left -= s->files[i++].size) /* sizes may be anything */
		if (s->files[i].size > left)
			*ret_why = "it is larger than the memory that was allowed";
	for (uint32_t i = f->first; i < f->first + f->n && rc == 0 && !*ret_why; i++)
		rc = add_piece(load, (struct zn__piece){ .source = s, .file = i, .bytes = s->files[i].size });
	return rc;
}

static int add_record(struct zn__load *load, const struct zn_source *s, uint64_t record)
{
	return add_piece(load, (struct zn__piece){ .source = s, .offset = zn_tokens_offset(&s->tokens, record), .bytes = zn_shape_bytes(&s->shape) });
}

static int add_slot(struct zn__loading *g, struct zn__load *load, struct zn__slot *slot)
{
	const struct zn_source *s = &g->sources->v[slot->place.shard];
	uint64_t most = g->ask->memory_bytes;

	slot->first_piece = load->n_pieces;
	int rc = s->kind == ZN_SOURCE_TAR ? add_shard_pieces(load, s, slot->place.sample, most, &slot->why)
	         : s->kind == ZN_SOURCE_TOKENS ? add_record(load, s, slot->place.sample)
	                                       : add_file_pieces(load, s, slot->place.sample, most, &slot->why);
	slot->n_pieces = load->n_pieces - slot->first_piece;
	return rc;
}

/* ---- where it goes ---------------------------------------------------------------------------------------- */

/* As far behind a page's beginning in memory as in the file, so that O_DIRECT can read it.  A server has no pages. */
static uint64_t lead_of(const struct zn__run *r)
{
	return r->source->url ? 0 : r->at % PAGE;
}

static uint64_t room_of(const struct zn__run *r)
{
	return (lead_of(r) + r->bytes + PAGE - 1) / PAGE * PAGE;
}

static int check_memory(const struct zn__loading *g, const struct zn__load *load, struct zn_err *err)
{
	uint64_t most = g->ask->memory_bytes;

	if (load->bytes <= most + most / 8)
		return 0;
	return zn_err_set(err, -E2BIG, "a batch of %u samples takes %.1f MiB, more than the %.1f MiB that are allowed: take smaller batches, or allow more",
	                  load->n_slots, (double)load->bytes / 1048576, (double)most / 1048576);
}

static void lay_out(struct zn__load *load, bool has_tensors)
{
	char *at = load->mem.p;

	at += -(uintptr_t)at % PAGE;
	for (uint32_t i = 0; i < load->n_runs; i++) {
		load->runs[i].p = at + lead_of(&load->runs[i]);
		at += room_of(&load->runs[i]);
	}
	for (uint32_t i = 0; i < load->n_pieces; i++) {
		struct zn__piece *p = &load->pieces[i];
		const struct zn__run *r = &load->runs[p->run];
		p->p = r->p + (p->offset - r->at);
	}
	load->tensors = has_tensors ? at : NULL;
}

static int get_memory(struct zn__loading *g, struct zn__load *load, struct zn_err *err)
{
	size_t tensors = load->n_slots ? zn__tensors_bytes(g->ask, load->n_slots) : 0;

	for (uint32_t i = 0; i < load->n_runs; i++)
		load->bytes += room_of(&load->runs[i]);
	if (__builtin_add_overflow(load->bytes, tensors, &load->bytes))
		load->bytes = UINT64_MAX;
	int rc = check_memory(g, load, err);
	if (rc == 0 && (load->n_runs || tensors))
		rc = zn_mempool_get(g->pool, load->bytes + PAGE, &load->mem, err);
	if (rc == 0 && load->mem.p)
		lay_out(load, tensors != 0);
	return rc;
}

/* ---- reading ---------------------------------------------------------------------------------------------- */

static void open_file(struct zn__loading *g, struct zn__run *r)
{
	r->fd = r->own_fd = open(r->source->files[r->file].path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	g->n_held += r->fd >= 0;
	r->rc = r->fd < 0 ? -errno : 0;
}

/* How many one thread has open for what is planned: a fourth of what there may be, of all threads together. */
static long may_hold(const struct zn__loading *g)
{
	return sysconf(_SC_OPEN_MAX) / 4 / (g->ask->threads ? (long)g->ask->threads : 1);
}

static void open_run(struct zn__loading *g, struct zn__run *r)
{
	if (r->source->kind != ZN_SOURCE_FILES)
		r->fd = r->source->fd; /* -1 of a URL */
	else if (g->n_held < may_hold(g))
		open_file(g, r);
	else
		r->rc = -EMFILE;
}

/* What there was no descriptor for is opened when it is read. */
static void open_late(struct zn__loading *g, struct zn__run *r)
{
	if (r->rc == -EMFILE || r->rc == -ENFILE)
		open_file(g, r);
}

static void close_run(struct zn__loading *g, struct zn__run *r)
{
	if (r->own_fd < 0)
		return;
	close(r->own_fd);
	r->fd = r->own_fd = -1;
	g->n_held--;
}

/* Some file systems in memory can't say what is there, as it always is; those of a network can't either. */
static bool lies_in_memory(int fd)
{
	struct statfs s;

	return fstatfs(fd, &s) == 0 && (s.f_type == TMPFS_MAGIC || s.f_type == RAMFS_MAGIC || s.f_type == HUGETLBFS_MAGIC);
}

/* Its last byte, since what was read ahead ends somewhere. */
static bool is_warm(const struct zn__run *r)
{
	char byte;
	struct iovec v = { &byte, 1 };

	if (r->source->url)
		return false;
	return preadv2(r->fd, &v, 1, (off_t)(r->at + r->bytes - 1), RWF_NOWAIT) == 1 || (errno == EOPNOTSUPP && lies_in_memory(r->fd));
}

static int cold_fd(const struct zn__loading *g, const struct zn__run *r)
{
	return g->direct && r->source->kind != ZN_SOURCE_FILES && r->source->direct_fd >= 0 ? r->source->direct_fd : r->fd;
}

/* Requests for all of a run, of whole pages; to a server, of what is wanted alone. */
static int ask_for(struct zn__loading *g, struct zn__load *load, struct zn__run *r)
{
	int fd = cold_fd(g, r);
	bool direct = fd != r->fd;
	uint64_t at = r->at - lead_of(r), end = r->source->url ? r->at + r->bytes : at + room_of(r);
	char *p = r->p - lead_of(r);

	r->first_read = load->n_reads;
	while (at < end) {
		uint64_t n = REQUEST - at % REQUEST < end - at ? REQUEST - at % REQUEST : end - at;
		if (!zn_grow(&load->reads, load->n_reads, &load->cap_reads, sizeof(*load->reads)))
			return -ENOMEM;
		load->reads[load->n_reads++] = (struct zn_read){ .fd = fd, .url = r->source->url, .p = p, .n = n, .at = at };
		p += n;
		at += n;
	}
	r->n_reads = load->n_reads - r->first_read;
	zn__count(r->source->url ? &g->stats.url_bytes : &g->stats.cold_bytes, r->bytes);
	zn__count(&g->stats.direct_bytes, direct ? r->bytes : 0);
	load->is_cold = true;
	return 0;
}

static int begin_reading(struct zn__loading *g, struct zn__load *load, struct zn_err *err)
{
	int rc = 0;

	for (uint32_t i = 0; i < load->n_runs && rc == 0; i++) {
		struct zn__run *r = &load->runs[i];
		open_run(g, r);
		if (r->rc == 0 && r->bytes && (g->ask->direct == ZN_DIRECT_ALWAYS || !is_warm(r)))
			rc = ask_for(g, load, r);
	}
	if (rc < 0)
		return zn_err_set(err, rc, "out of memory");
	for (uint32_t i = 0; i < load->n_reads; i++) /* where they are does not change any more */
		zn_reads_add(g->reads, &load->reads[i]);
	rc = load->n_reads ? zn_reads_start(g->reads) : 0;
	return rc < 0 ? zn_err_set(err, rc, "can't begin to read: %s", strerrordesc_np(-rc)) : 0;
}

/* Bytes from at on, by the page cache; how many came, and why no more: -errno, -ENODATA at the file's end. */
static uint64_t read_through(int fd, char *p, uint64_t bytes, uint64_t at, int *ret_rc)
{
	uint64_t done = 0;

	*ret_rc = 0;
	while (done < bytes && *ret_rc == 0) {
		ssize_t got = pread(fd, p + done, bytes - done, (off_t)(at + done));
		if (got > 0)
			done += (uint64_t)got;
		else if (got == 0 || errno != EINTR)
			*ret_rc = got == 0 ? -ENODATA : -errno;
	}
	return done;
}

/* What a device was asked for came, up to somewhere. */
static int await(struct zn__loading *g, struct zn__load *load, struct zn__run *r)
{
	uint64_t good = 0;
	bool whole = true;

	for (uint32_t i = r->first_read; i < r->first_read + r->n_reads; i++) {
		struct zn_read *one = &load->reads[i];
		int rc = g->reads ? zn_reads_wait(g->reads, one) : 0; /* an engine that failed has left some undone */
		if (rc < 0)
			return rc;
		whole = whole && one->is_done;
		if (whole && one->got > 0)
			good += (uint64_t)one->got;
		whole = whole && one->got == (ssize_t)one->n;
	}
	good = good > lead_of(r) ? good - lead_of(r) : 0;
	r->good = good < r->bytes ? good : r->bytes;
	return 0;
}

/* The rest of a run, or all of one that is warm. */
static void read_rest(struct zn__run *r)
{
	if (r->good < r->bytes && r->rc == 0 && !r->source->url)
		r->good += read_through(r->fd, r->p + r->good, r->bytes - r->good, r->at + r->good, &r->rc);
}

static int finish_run(struct zn__loading *g, struct zn__load *load, struct zn__run *r)
{
	uint64_t begun = zn_boot_ns();
	int rc = r->n_reads ? await(g, load, r) : 0;
	uint64_t waited = zn_boot_ns();

	if (rc < 0)
		return rc;
	open_late(g, r);
	read_rest(r);
	if (r->good == r->bytes)
		close_run(g, r);
	zn__count(&g->stats.device_ns, waited - begun);
	zn__count(&g->stats.copy_ns, zn_boot_ns() - waited);
	zn__count(&g->stats.warm_bytes, r->n_reads ? 0 : r->good);
	return 0;
}

/* Why what lies at a URL is not all there; NULL: it is. */
static const char *why_not_fetched(const struct zn__load *load, const struct zn__run *r, const struct zn__piece *p)
{
	for (uint32_t i = r->first_read; i < r->first_read + r->n_reads; i++) {
		const struct zn_read *one = &load->reads[i];
		if (one->at < p->offset + p->bytes && one->at + one->n > p->offset && one->got != (ssize_t)one->n)
			return one->why;
	}
	return NULL;
}

/* A run that could not be read whole was read up to somewhere; samples behind that may be there all the same. */
static void save_slot(struct zn__load *load, struct zn__slot *slot)
{
	for (uint32_t i = slot->first_piece; i < slot->first_piece + slot->n_pieces && !slot->why; i++) {
		const struct zn__piece *p = &load->pieces[i];
		const struct zn__run *r = &load->runs[p->run];
		int rc = r->rc;
		if (p->offset + p->bytes <= r->at + r->good)
			continue;
		if (r->source->url)
			slot->why = why_not_fetched(load, r, p);
		else if (r->fd < 0 || read_through(r->fd, (char *)p->p, p->bytes, p->offset, &rc) < p->bytes)
			slot->why = rc == -ENODATA ? "the file ends before it: it is shorter than it was" : strerrordesc_np(-rc);
	}
}

/* ---- from the beginning to the end ------------------------------------------------------------------------ */

void zn__load_free(struct zn__load *load, struct zn_mempool *pool)
{
	if (!load)
		return;
	for (uint32_t i = 0; i < load->n_runs; i++)
		if (load->runs[i].own_fd >= 0)
			close(load->runs[i].own_fd);
	if (load->mem.p)
		zn_mempool_put(pool, &load->mem);
	free(load->slots);
	free(load->pieces);
	free(load->runs);
	free(load->reads);
	free(load->losses);
	zn_arena_done(&load->arena);
	free(load);
}

static int fill_slots(struct zn__loading *g, struct zn__load *load, const struct zn_epoch *e, uint64_t k)
{
	int rc = 0;

	load->n_slots = zn_epoch_size(e, g->ask->rank, k);
	load->slots = calloc(load->n_slots ? load->n_slots : 1, sizeof(*load->slots));
	if (!load->slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < load->n_slots && rc == 0; i++) {
		load->slots[i].place = zn_epoch_at(e, zn_epoch_place(e, g->ask->rank, k, i));
		rc = add_slot(g, load, &load->slots[i]);
	}
	return rc;
}

/* The engine failed: what it was asked goes into memory that is about to be given back, so it goes first. */
static void give_up_engine(struct zn__loading *g)
{
	zn_reads_free(g->reads);
	g->reads = NULL;
}

int zn__load_plan(struct zn__loading *g, const struct zn_epoch *e, uint64_t k, struct zn__load **ret, struct zn_err *err)
{
	struct zn__load *load = calloc(1, sizeof(*load));
	uint64_t round = (uint64_t)g->ask->order.batch * g->ask->order.world;
	int rc = load ? fill_slots(g, load, e, k) : -ENOMEM;

	if (rc < 0)
		zn_err_set(err, rc, "out of memory");
	if (rc == 0)
		rc = get_memory(g, load, err);
	if (rc == 0)
		rc = begin_reading(g, load, err);
	if (rc < 0) {
		if (load && load->n_reads)
			give_up_engine(g);
		zn__load_free(load, g->pool);
		return rc;
	}
	load->batch = (struct zn_batch){ .epoch = e->number, .seq = e->first / round + k, .next = zn_epoch_after(e, k), .memory_fd = -1 };
	if (load->mem.is_shared) {
		load->batch.memory = load->mem.p;
		load->batch.memory_bytes = load->mem.bytes;
		load->batch.memory_fd = load->mem.fd;
	}
	*ret = load;
	return 0;
}

int zn__load_finish(struct zn__loading *g, struct zn__load *load, struct zn_err *err)
{
	bool all = true;
	int rc = 0;

	for (uint32_t i = 0; i < load->n_runs && rc == 0; i++) {
		rc = finish_run(g, load, &load->runs[i]);
		all &= load->runs[i].good == load->runs[i].bytes;
	}
	if (rc < 0) {
		give_up_engine(g);
		return zn_err_set(err, rc, "can't read: %s", strerrordesc_np(-rc));
	}
	for (uint32_t i = 0; i < load->n_slots && !all; i++)
		save_slot(load, &load->slots[i]);
	for (uint32_t i = 0; i < load->n_runs && !all; i++)
		close_run(g, &load->runs[i]);
	uint64_t begun = zn_boot_ns();
	rc = zn__load_parse(g, load);
	zn__count(&g->stats.parse_ns, zn_boot_ns() - begun);
	return rc < 0 ? zn_err_set(err, rc, "out of memory") : 0;
}

void zn__loading_done(struct zn__loading *g)
{
	zn__names_done(&g->names);
	zn__hands_done(g->ask, &g->hands);
	zn_reads_free(g->reads);
}
