/* A working set is one cycle through all its lines, whatever its size, and in no order that one could guess. */
#include <stddef.h>
#include <stdlib.h>

#include "bench/chase.h"
#include "tap.h"

enum { BITS_MAX = 16 };

static struct zn__line lines[1 << BITS_MAX];

/* Steps until the first line comes again. */
static size_t cycle(void)
{
	size_t n = 1;

	for (struct zn__line *at = lines[0].next; at != lines && n <= sizeof(lines) / sizeof(*lines); at = at->next)
		n++;
	return n;
}

/* How many of the steps go as far as the most frequent distance does. */
static size_t most_alike(size_t n)
{
	size_t *count = calloc(2 * n, sizeof(*count)), most = 0;

	for (size_t i = 0; count && i < n; i++) {
		size_t k = ++count[(size_t)(lines[i].next - &lines[i] + (ptrdiff_t)n)];
		most = k > most ? k : most;
	}
	free(count);
	return count ? most : n;
}

int main(void)
{
	for (unsigned bits = 1; bits <= BITS_MAX; bits++) {
		size_t n = (size_t)1 << bits;
		zn__lines_tie(lines, bits);
		tap_ok(cycle() == n, "%zu lines are one cycle", n);
		if (bits >= 8)
			tap_ok(most_alike(n) <= n / 16, "no distance is that of many of %zu steps", n);
	}
	return tap_done();
}
