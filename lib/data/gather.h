/* gather: members, as they come, become the samples of an index. */
#ifndef ZN_DATA_GATHER_H
#define ZN_DATA_GATHER_H

#include "data/index.h"
#include "data/key.h"

enum { ZN__FIELDS_MAX = 64 };      /* members of one sample; another one begins after so many */

struct zn__gather {
	struct zn_index *x;
	uint64_t cap_offsets, cap_blocks, cap_parts, cap_flaws, cap_gaps;
	struct zn__open *open, *by_key, *last;
	uint64_t n_opened;
	struct zn__gap *gaps;          /* where something is damaged */
	uint64_t n_gaps;
	bool in_gap;                   /* no member came since */
	struct zn__suspect *suspects;  /* samples beside damage, which may lack a member */
	uint64_t with[ZN__FIELDS_MAX + 1]; /* samples of so many fields, of those that are not */
};

int zn__gather_init(struct zn__gather *g, struct zn_index *x);
/* A member of bytes bytes with its headers, at offset.  why: it can't be read, so its sample is lost; NULL: it can. */
int zn__gather_member(struct zn__gather *g, const struct zn_key *k, uint64_t offset, uint64_t bytes, const char *why);
/* What lies at offset is of no sample. */
void zn__gather_other(struct zn__gather *g);
/* From offset on something is damaged, up to the next member. */
int zn__gather_gap(struct zn__gather *g, uint64_t offset, const char *reason);
/* No more will come: who lacks a member that a gap may have held is lost. */
int zn__gather_end(struct zn__gather *g);
void zn__gather_done(struct zn__gather *g);

/* How many fields most samples have, with[i] of them i, of equally many the larger number; 0: there are none. */
uint32_t zn__usual_fields(const uint64_t with[ZN__FIELDS_MAX + 1]);

#endif
