/* source: what samples are read from: tar shards with their indexes, plain files, and what can only be read from its beginning. */
#ifndef ZN_DATA_SOURCE_H
#define ZN_DATA_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "data/batch.h"
#include "data/index.h"
#include "data/tokens.h"
#include "data/url.h"

enum zn_source_kind {
	ZN_SOURCE_TAR, ZN_SOURCE_FILES,
	ZN_SOURCE_TOKENS,              /* records of tokens, see tokens.h */
	ZN_SOURCE_STREAM,              /* a packed archive, a FIFO or standard input: for a flow, see flow.h */
};

struct zn__file { const char *path; uint64_t size; const char *field; };
struct zn__files { const char *key; uint32_t first, n; };

struct zn_source {
	enum zn_source_kind kind;
	char *name;                    /* as it was given, or found in a directory */
	uint64_t n;                    /* samples; of a stream nobody knows */
	uint64_t size;                 /* bytes of a shard or a stream; 0: it has none */
	bool is_once;                  /* a stream that can't be opened again */
	/* tar */
	int fd, direct_fd;             /* direct_fd -1: O_DIRECT can't be had there */
	struct zn_url *url;            /* where it lies, instead of fd; NULL: in a file */
	struct zn_index index;
	/* tokens */
	struct zn_tokens tokens;
	struct zn_shape shape;
	/* files, of one directory or a single one */
	struct zn__file *files;
	struct zn__files *samples;
	struct zn_flaw *flaws;         /* what in the directory can't be read */
	uint64_t n_flaws;
	struct zn_arena arena;
};

/* How indexes are found and kept. */
struct zn_source_opts {
	bool keep;                     /* write an index beside its shard, or in the user's cache for a URL, where it is not there yet */
	bool anew;                     /* whatever is there */
	/* What happened to one, for who wants to know: "read", "built", and why.  May be NULL. */
	void (*note)(void *arg, const char *shard, const char *what);
	void *arg;
	unsigned threads;              /* that build indexes; at least 1 */
};

struct zn_sources { struct zn_source *v; uint32_t n, cap; };

/* Adds what a name stands for: SHARD-{000..127}.tar and {a,b} are all of these, a directory all below it, in the order of their
 * names, "-" standard input, http://, https:// and s3:// the tar archive that lies there.  Nothing is read yet but directories.
 * -ENOENT, -EINVAL, ...; -ENOTSUP: a URL of a packed archive, or built without libcurl.
 */
int zn_sources_add(struct zn_sources *s, const char *name, struct zn_err *err);
/* Adds records of stride + 1 tokens, of NAME.bin, for which NAME.idx stands as well; opened at once.  dtype NULL: NAME.idx, of
 * Megatron, says which type; else the file is nothing but tokens of that.  Their keys are their numbers, their field is "tokens".
 */
int zn_sources_add_tokens(struct zn_sources *s, const char *name, uint32_t stride, const enum zn_dtype *dtype, struct zn_err *err);
/* Whether any is a stream: then a flow reads all of them, else a loader. */
bool zn_sources_have_stream(const struct zn_sources *s);
bool zn_sources_have_url(const struct zn_sources *s);
/* Opens all but streams, and finds the indexes; not for a flow.  A shard that is no tar archive, or can't be opened, is an error. */
int zn_sources_open(struct zn_sources *s, const struct zn_source_opts *opts, struct zn_err *err);
void zn_sources_done(struct zn_sources *s);

/* Where an index lies that is kept beside its shard: "SHARD.zni", of size bytes. */
int zn_index_path(const char *shard, char *to, size_t size);

/* The names that a pattern with braces stands for, in order; one without is itself.  Calls add for each; stops when it returns
 * below 0.  -EINVAL: the braces make no sense.
 */
int zn_braces_expand(const char *pattern, int (*add)(void *arg, const char *name), void *arg, struct zn_err *err);

#endif
