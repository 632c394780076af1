/* A row against a sorted array that does the same by looking at everything. */
#include <stdlib.h>
#include <string.h>

#include "pick/row.h"
#include "tap.h"

enum { N = 300, STEPS = 20000 };

static struct zn_row_node nodes[N];
static struct zn_row_node *sorted[N];
static double counts[N];               /* by seq, as the row should have them */
static size_t n;
static bool is_in[N];

static bool before(const struct zn_row_node *a, double key, uint64_t seq)
{
	return a->key < key || (a->key == key && a->seq < seq);
}

static void put(struct zn_row *row, unsigned i)
{
	size_t at = n++;

	nodes[i] = (struct zn_row_node){ .key = rand() % 8, .seq = i, .low = rand() % 50, .weight = (uint64_t)rand() % 5,
	                               .count = counts[i] = rand() % 4 };
	for (; at && before(&nodes[i], sorted[at - 1]->key, sorted[at - 1]->seq); at--)
		sorted[at] = sorted[at - 1];
	sorted[at] = &nodes[i];
	is_in[i] = true;
	zn_row_add(row, &nodes[i]);
}

static bool left_wrong; /* the count of one that was taken out */

static void take(struct zn_row *row, unsigned i)
{
	size_t at = 0;

	while (sorted[at] != &nodes[i])
		at++;
	memmove(sorted + at, sorted + at + 1, (--n - at) * sizeof(*sorted));
	is_in[i] = false;
	zn_row_remove(row, &nodes[i]);
	left_wrong |= nodes[i].count != counts[i];
}

static void count(struct zn_row *row)
{
	double key = rand() % 8;
	uint64_t seq = (uint64_t)rand() % N;

	for (size_t i = 0; i < n && before(sorted[i], key, seq); i++)
		counts[sorted[i]->seq] += 3;
	zn_row_count_before(row, key, seq, 3);
}

static bool same_within(const struct zn_row *row)
{
	double until = rand() % 60;
	size_t i = 0;

	while (i < n && sorted[i]->low + 5 > until)
		i++;
	return zn_row_first_within(row, 5, until) == (i < n ? sorted[i] : NULL);
}

static bool same_reach(const struct zn_row *row)
{
	uint64_t want = 1 + (uint64_t)rand() % (3 * N), sum = 0, got = 0;
	size_t i = 0;

	while (i < n && (sum += sorted[i]->weight) < want)
		i++;
	struct zn_row_node *node = zn_row_reach(row, want, &got);
	return node == (i < n ? sorted[i] : NULL) && (!node || got == sum);
}

static bool is_same(const struct zn_row *row)
{
	uint32_t nth = (uint32_t)rand() % N;

	return zn_row_size(row) == n && zn_row_first(row) == (n ? sorted[0] : NULL) &&
	       zn_row_nth(row, nth) == (nth < n ? sorted[nth] : NULL) && same_within(row) && same_reach(row) &&
	       (nth >= n || zn_row_count(row, sorted[nth]) == counts[sorted[nth]->seq]) && !left_wrong;
}

int main(void)
{
	struct zn_row row = { 0 };
	bool same = is_same(&row);

	tap_ok(same, "an empty row has nobody");
	srand(1);
	for (int i = 0; i < STEPS && same; i++) {
		unsigned who = (unsigned)rand() % N;
		if (is_in[who])
			take(&row, who);
		else
			put(&row, who);
		count(&row);
		same = is_same(&row);
	}
	tap_ok(same, "%d changes, each followed by the same answers as a sorted array gives", STEPS);
	return tap_done();
}
