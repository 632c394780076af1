/* index: where the samples of a tar shard lie, so that any of them can be read without the others.
 *
 * Found by the headers alone.  Members of one key are one sample, also when others lie between them, up to a few hundred samples.
 * What is damaged is passed over: the next header that holds is searched, and what can't be trusted is a flaw.
 * A sample is known by where it begins and how long it is; its members' headers lie within and are read with it.
 */
#ifndef ZN_DATA_INDEX_H
#define ZN_DATA_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "zenith.h"

/* Bytes that can be read at any place: up to n of them, fewer only at the end; -errno. */
struct zn_blob {
	uint64_t size;
	ssize_t (*read)(void *arg, void *p, size_t n, uint64_t at);
	void *arg;
};

/* Whole members: multiples of 512 bytes, but for the last of an archive that ends early. */
struct zn_span { uint64_t offset, bytes; };

struct zn_flaw {
	uint64_t offset;
	const char *key;               /* NULL: not known */
	const char *reason;
};

/* A piece of a sample of several; more: the next one, 0: there is none (part 0 is never used). */
struct zn__part { uint64_t offset; uint32_t blocks, more; };
#define ZN__IS_PARTS 0x80000000u
#define ZN__BLOCKS_MAX 0x7fffffffu

struct zn_index {
	uint64_t n;                    /* samples */
	uint64_t *offsets;             /* of each: where it begins, ... */
	uint32_t *blocks;              /* ... and its length in blocks of 512; or, with the first bit set, its first part */
	struct zn__part *parts;
	uint64_t n_parts;
	struct zn_flaw *flaws;
	uint64_t n_flaws;
	bool is_partial;               /* some of it could not be read, and may be another time */
	uint64_t n_other;              /* members that belong to no sample: directories, links, names without a field */
	struct zn_arena arena;         /* of the texts */
	void *body;                    /* of a file that was read: offsets, blocks and parts lie in it; NULL: each has its own */
};

/* Looks at all headers.  A blob that is no tar archive at all is -EBADMSG; one that can't be read anywhere -errno; what
 * is damaged in one is a flaw.
 */
int zn_index_build(const struct zn_blob *blob, struct zn_index *ret, struct zn_err *err);
void zn_index_done(struct zn_index *x);
/* The spans of sample i, in order: how many, all of which ret has only if that is max at most. */
size_t zn_index_spans(const struct zn_index *x, uint64_t i, struct zn_span *ret, size_t max);

/* ---- kept in a file --------------------------------------------------------------------------------------- */

/* What a shard was like when its index was made. */
struct zn_index_of { uint64_t size; int64_t mtime_ns; };

/* 1: read; 0: there is none, or it is of another time of the shard (*ret_why says which; a constant); -EBADMSG: damaged;
 * -errno.
 */
int zn_index_read(const char *path, const struct zn_index_of *of, struct zn_index *ret, const char **ret_why);
int zn_index_write(const char *path, const struct zn_index_of *of, const struct zn_index *x, struct zn_err *err);

#endif
