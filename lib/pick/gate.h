/* gate: of some jobs, those of an array, no more than so many may wait and run at once.  The others are held back before they wait,
 * and come in their order, one for each that has ended.
 */
#ifndef ZN_PICK_GATE_H
#define ZN_PICK_GATE_H

#include <stdbool.h>
#include <stdint.h>

/* In each job that may be held back; the caller's, who goes from it to the job. */
struct zn_gated { struct zn_gated *next; };

/* All zero but the limit at first. */
struct zn_gate {
	uint32_t at_once;             /* so many; 0: all */
	uint32_t open;                /* that came and have not ended */
	struct zn_gated *first, *last; /* that are held back; NULL: nobody is */
};

bool zn_gate_is_full(const struct zn_gate *g);
/* True: it comes, and counts; false: it is held back. */
bool zn_gate_enter(struct zn_gate *g, struct zn_gated *one);
/* One that came has ended.  Returns who comes instead, and counts; NULL: nobody of those who were held back. */
struct zn_gated *zn_gate_leave(struct zn_gate *g);

#endif
