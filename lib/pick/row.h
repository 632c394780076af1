/* row: jobs in an order, with what the picking asks of them: a treap whose nodes lie in the jobs.  Every question
 * costs the logarithm of how many there are.  The shape depends on the numbers alone, so that the same input gives
 * the same output.
 */
#ifndef ZN_PICK_ROW_H
#define ZN_PICK_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The caller sets key, seq, low, weight and count before zn_row_add, by zn_row_node_init or alone; the rest is the row's. */
struct zn_row_node {
	double key;                   /* ascending; of equals the lower seq comes first */
	uint64_t seq;                 /* no two in a row have the same key and seq */
	double low;                   /* what zn_row_first_within looks at */
	uint64_t weight;              /* what zn_row_reach adds up */
	struct zn_row_node *left, *right;
	double lowest;                /* of the subtree */
	uint64_t sum;
	uint32_t n;
	double count;                 /* right again when the node is in no row */
	double owed;                  /* still to be added to the counts of both subtrees */
};

struct zn_row { struct zn_row_node *root; };

/* With no low, weight and count; what zn_row_add sets is left alone, for there are many of them. */
static inline void zn_row_node_init(struct zn_row_node *node, double key, uint64_t seq)
{
	node->key = key;
	node->seq = seq;
	node->low = node->count = 0;
	node->weight = 0;
}

void zn_row_add(struct zn_row *t, struct zn_row_node *node);
void zn_row_remove(struct zn_row *t, struct zn_row_node *node);

static inline uint32_t zn_row_size(const struct zn_row *t)
{
	return t->root ? t->root->n : 0;
}

/* NULL: there is none. */
struct zn_row_node *zn_row_first(const struct zn_row *t);
/* Calls each with all of them in order, until it returns false. */
void zn_row_walk(const struct zn_row *t, bool (*each)(void *arg, const struct zn_row_node *node), void *arg);
struct zn_row_node *zn_row_nth(const struct zn_row *t, uint32_t n); /* 0: the first */
/* The first for which from + low <= until. */
struct zn_row_node *zn_row_first_within(const struct zn_row *t, double from, double until);
/* The first with which the weights from the beginning on reach want; *ret_sum has them, its own too. */
struct zn_row_node *zn_row_reach(const struct zn_row *t, uint64_t want, uint64_t *ret_sum);

/* Adds amount to the count of each node before (key, seq). */
void zn_row_count_before(struct zn_row *t, double key, uint64_t seq, double amount);
double zn_row_count(const struct zn_row *t, const struct zn_row_node *node); /* of one that is in it */

#endif
