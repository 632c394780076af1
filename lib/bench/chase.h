/* chase: what its working sets are made of. */
#ifndef ZN_BENCH_CHASE_H
#define ZN_BENCH_CHASE_H

struct zn__line {
	_Alignas(64) struct zn__line *next;
};

/* Makes one cycle of two to the power of bits lines, at least 2. */
void zn__lines_tie(struct zn__line *lines, unsigned bits);

#endif
