/* gap: who may start early, beside the reservations of the first few in line.
 *
 * Each reservation is a time, and a place that is set aside then.  In the order of their times they make levels: at level 0
 * is all that is free now; at level n what is free now and not set aside for any of the first n.  Who starts early needs
 * room at the level of those whose time comes before it is over: the others it has left by then.  What has room at a level
 * has room at each lower one.
 */
#ifndef ZN_PICK_GAP_H
#define ZN_PICK_GAP_H

#include <stdbool.h>
#include <stdint.h>

enum { ZN_PICK_RESERVATIONS = 16, ZN_PICK_CLOSINGS = 8, ZN_PICK_AHEAD = ZN_PICK_RESERVATIONS + ZN_PICK_CLOSINGS }; /* at most */

/* What there is of what can be counted. */
struct zn_pick_have { uint64_t mem_bytes; uint32_t gpus, gpu_milli, cpus; }; /* gpu_milli: the largest part of one */

/* Reservations have the numbers in which they were made, from 0 on: the first are nobody's, there are nodes that will be closed;
 * then comes the order of the line.
 */
struct zn_pick_gap {
	uint64_t pass;
	uint32_t n, closings;         /* reservations; the first of them, that are nobody's */
	double at_s[ZN_PICK_AHEAD];   /* when who has it starts; HUGE_VAL: nobody knows; -HUGE_VAL: none is in time */
	uint32_t by_time[ZN_PICK_AHEAD]; /* their numbers */
	struct zn_pick_have have[ZN_PICK_AHEAD + 1]; /* at each level */
	bool has_last;
	uint64_t last_seq;            /* nobody behind this one is looked at */
};

/* With no reservation; what zn_gap_add and the caller set is left alone, for it is much, and mostly little of it is used. */
static inline void zn_gap_init(struct zn_pick_gap *gap, uint64_t pass)
{
	gap->pass = pass;
	gap->n = gap->closings = 0;
	gap->has_last = false;
	gap->last_seq = 0;
}

/* One more. */
static inline void zn_gap_add(struct zn_pick_gap *gap, double at_s)
{
	uint32_t at = gap->n;

	for (; at && gap->at_s[gap->by_time[at - 1]] > at_s; at--)
		gap->by_time[at] = gap->by_time[at - 1];
	gap->by_time[at] = gap->n;
	gap->at_s[gap->n++] = at_s;
}

/* Only the first n stay. */
static inline void zn_gap_cut(struct zn_pick_gap *gap, uint32_t n)
{
	uint32_t stay = 0;

	for (uint32_t i = 0; i < gap->n; i++)
		if (gap->by_time[i] < n)
			gap->by_time[stay++] = gap->by_time[i];
	gap->n = stay;
}

/* The last one has that time. */
static inline void zn_gap_move_last(struct zn_pick_gap *gap, double at_s)
{
	zn_gap_cut(gap, gap->n - 1);
	zn_gap_add(gap, at_s);
}

/* When at the latest is over who has room at a level; there is a higher one. */
static inline double zn_gap_until(const struct zn_pick_gap *gap, uint32_t level)
{
	return gap->at_s[gap->by_time[level]];
}

/* At which what is over then needs room. */
static inline uint32_t zn_gap_level(const struct zn_pick_gap *gap, double over_s)
{
	uint32_t level = 0;

	while (level < gap->n && over_s > zn_gap_until(gap, level))
		level++;
	return level;
}

#endif
