/* files: samples that lie in files of their own, in a directory. */
#ifndef ZN_DATA_FILES_H
#define ZN_DATA_FILES_H

#include "data/source.h"

int zn__sources_add_archive(struct zn_sources *s, enum zn_source_kind kind, const char *path, uint64_t size);
struct zn_source *zn__sources_add_files(struct zn_sources *s, const char *name);
/* By its name: a shard, or a stream. */
bool zn__is_archive_name(const char *name, enum zn_source_kind *ret);

/* All below a directory: its shards, each a source, and its other files, which are one. */
int zn__files_walk(struct zn_sources *s, const char *path, struct zn_err *err);
int zn__files_one(struct zn_sources *s, const char *path, uint64_t size);

#endif
