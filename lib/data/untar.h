/* untar: the members of a tar archive that is read from its beginning, and damage by the rules of an index (index.h): it costs
 * what it hit, and the next header that holds is searched.
 */
#ifndef ZN_DATA_UNTAR_H
#define ZN_DATA_UNTAR_H

#include "data/bytes.h"
#include "data/tar.h"
#include "data/unpack.h"

struct zn__untar {
	struct zn__bytes from;
	const char *p;                 /* n bytes that were not taken yet, borrowed from there or in buf */
	size_t n;
	char *buf;
	size_t cap;
	uint64_t pos;                  /* of p in the archive */
	uint64_t left, padding;        /* of the member: bytes that were not read yet, and what follows them */
	uint64_t size;                 /* of the member */
	struct zn_tar_head head;
	bool is_astray;                /* at damage: the next header is to be searched */
	bool is_at_end;                /* of an archive: another one may follow */
	int rc;                        /* of from: it is over; 1: it is not */
	const char *why;               /* of damage */
};

/* Whether bytes that begin so, or are so, are a tar archive's: 1, 0; -1: more of them are to be looked at.  One whose first header
 * is damaged is one, too.
 */
int zn__untar_knows(const void *p, size_t n, bool is_all);

void zn__untar_init(struct zn__untar *t, struct zn__bytes from);
void zn__untar_done(struct zn__untar *t);
/* As zn__unpack_next and zn__unpack_read. */
int zn__untar_next(struct zn__untar *t, struct zn__member *ret);
int zn__untar_read(struct zn__untar *t, const void **ret, size_t *ret_n, uint64_t *ret_at);

#endif
