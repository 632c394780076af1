#include "pick/row.h"

/* splitmix64's finaliser (Steele, Lea, Flood, OOPSLA 2014): priorities that look random and are not. */
static uint64_t priority(const struct zn_row_node *node)
{
	uint64_t z = node->seq + 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static inline bool is_before(const struct zn_row_node *a, double key, uint64_t seq)
{
	return a->key < key || (a->key == key && a->seq < seq);
}

static inline double lowest(const struct zn_row_node *node)
{
	const struct zn_row_node *l = node->left, *r = node->right;
	double low = node->low;

	if (l && l->lowest < low)
		low = l->lowest;
	return r && r->lowest < low ? r->lowest : low;
}

static inline void update(struct zn_row_node *node)
{
	const struct zn_row_node *l = node->left, *r = node->right;

	node->n = 1 + (l ? l->n : 0) + (r ? r->n : 0);
	node->sum = node->weight + (l ? l->sum : 0) + (r ? r->sum : 0);
	node->lowest = lowest(node);
}

static inline void owe(struct zn_row_node *node, double amount)
{
	if (!node)
		return;
	node->count += amount;
	node->owed += amount;
}

static inline void pay(struct zn_row_node *node)
{
	if (node->owed == 0)
		return;
	owe(node->left, node->owed);
	owe(node->right, node->owed);
	node->owed = 0;
}

/* What is before (key, seq), and what is not. */
static void split(struct zn_row_node *node, double key, uint64_t seq, struct zn_row_node **before,
                  struct zn_row_node **rest)
{
	if (!node) {
		*before = *rest = NULL;
		return;
	}
	pay(node);
	if (is_before(node, key, seq)) {
		split(node->right, key, seq, &node->right, rest);
		*before = node;
	} else {
		split(node->left, key, seq, before, &node->left);
		*rest = node;
	}
	update(node);
}

/* at's subtree has other's, too; or node no more.  Its children are mostly not looked at for that. */
static inline void count_in(struct zn_row_node *at, const struct zn_row_node *other)
{
	at->n += other->n;
	at->sum += other->sum;
	if (other->lowest < at->lowest)
		at->lowest = other->lowest;
}

static inline void count_out(struct zn_row_node *at, const struct zn_row_node *node)
{
	at->n--;
	at->sum -= node->weight;
	if (node->low < at->low)
		at->lowest = lowest(at);
}

static struct zn_row_node *merge(struct zn_row_node *a, struct zn_row_node *b)
{
	struct zn_row_node *root, **link = &root;

	while (a && b) {
		bool a_first = priority(a) >= priority(b);
		struct zn_row_node *top = a_first ? a : b, **rest = a_first ? &a : &b;
		pay(top);
		count_in(top, a_first ? b : a);
		*link = top;
		link = a_first ? &top->right : &top->left;
		*rest = *link;
	}
	*link = a ? a : b;
	return root;
}

void zn_row_add(struct zn_row *t, struct zn_row_node *node)
{
	struct zn_row_node *at, **link = &t->root;
	uint64_t mine = priority(node);

	node->left = node->right = NULL;
	node->owed = 0;
	update(node);
	while ((at = *link) && mine <= priority(at)) {
		pay(at);
		count_in(at, node);
		link = is_before(at, node->key, node->seq) ? &at->right : &at->left;
	}
	split(at, node->key, node->seq, &node->left, &node->right);
	update(node);
	*link = node;
}

static struct zn_row_node *cut(struct zn_row_node *at, struct zn_row_node *node)
{
	pay(at);
	if (at == node)
		return merge(at->left, at->right);
	if (is_before(at, node->key, node->seq))
		at->right = cut(at->right, node);
	else
		at->left = cut(at->left, node);
	count_out(at, node);
	return at;
}

void zn_row_remove(struct zn_row *t, struct zn_row_node *node)
{
	t->root = cut(t->root, node);
}

struct zn_row_node *zn_row_first(const struct zn_row *t)
{
	struct zn_row_node *node = t->root;

	while (node && node->left)
		node = node->left;
	return node;
}

static bool walk(const struct zn_row_node *node, bool (*each)(void *arg, const struct zn_row_node *node), void *arg)
{
	for (; node; node = node->right)
		if ((node->left && !walk(node->left, each, arg)) || !each(arg, node))
			return false;
	return true;
}

void zn_row_walk(const struct zn_row *t, bool (*each)(void *arg, const struct zn_row_node *node), void *arg)
{
	walk(t->root, each, arg);
}

struct zn_row_node *zn_row_nth(const struct zn_row *t, uint32_t n)
{
	struct zn_row_node *node = t->root;

	while (node) {
		uint32_t before = node->left ? node->left->n : 0;
		if (n == before)
			return node;
		node = n < before ? node->left : node->right;
		n -= n < before ? 0 : before + 1;
	}
	return NULL;
}

struct zn_row_node *zn_row_first_within(const struct zn_row *t, double from, double until)
{
	struct zn_row_node *node = t->root;

	if (!node || from + node->lowest > until)
		return NULL;
	for (;;) {
		if (node->left && from + node->left->lowest <= until)
			node = node->left;
		else if (from + node->low <= until)
			return node;
		else
			node = node->right;
	}
}

struct zn_row_node *zn_row_reach(const struct zn_row *t, uint64_t want, uint64_t *ret_sum)
{
	struct zn_row_node *node = t->root;
	uint64_t sum = 0;

	if (!node || node->sum < want)
		return NULL;
	for (;;) {
		uint64_t left = node->left ? node->left->sum : 0;
		if (node->left && sum + left >= want) {
			node = node->left;
			continue;
		}
		sum += left + node->weight;
		if (sum >= want) {
			*ret_sum = sum;
			return node;
		}
		node = node->right;
	}
}

void zn_row_count_before(struct zn_row *t, double key, uint64_t seq, double amount)
{
	struct zn_row_node *node = t->root;

	while (node) {
		if (is_before(node, key, seq)) {
			node->count += amount;
			owe(node->left, amount);
			node = node->right;
		} else {
			node = node->left;
		}
	}
}

double zn_row_count(const struct zn_row *t, const struct zn_row_node *node)
{
	double above = 0;

	for (const struct zn_row_node *at = t->root; at != node; at = is_before(at, node->key, node->seq) ? at->right : at->left)
		above += at->owed;
	return above + node->count;
}
