#include "quota/ledger.h"

#include <math.h>

static double part_s(const struct zn_ledger *l)
{
	return l->window_s / ZN_LEDGER_PARTS;
}

static int64_t part_of(const struct zn_ledger *l, double at_s)
{
	return (int64_t)floor(at_s / part_s(l));
}

static double *part(struct zn_ledger *l, int64_t n)
{
	return &l->gpu_s[((n % ZN_LEDGER_PARTS) + ZN_LEDGER_PARTS) % ZN_LEDGER_PARTS];
}

/* The clock was set back: what came after part n is taken to have been then. */
static void slide_back(struct zn_ledger *l, int64_t n)
{
	double later = 0;

	for (int64_t i = l->newest - n < ZN_LEDGER_PARTS ? n + 1 : l->newest - ZN_LEDGER_PARTS + 1; i <= l->newest; i++) {
		later += *part(l, i);
		*part(l, i) = 0;
	}
	l->newest = n;
	*part(l, n) += later;
}

/* Forgets what is older than the window that ends with part n. */
static void slide(struct zn_ledger *l, int64_t n)
{
	if (n < l->newest) {
		slide_back(l, n);
		return;
	}
	if (n - l->newest > ZN_LEDGER_PARTS)
		l->newest = n - ZN_LEDGER_PARTS;
	while (l->newest < n)
		*part(l, ++l->newest) = 0;
}

void zn_ledger_add(struct zn_ledger *l, double from_s, double to_s, double gpus)
{
	if (!(to_s > from_s))
		return;
	if (part_of(l, to_s) > l->newest)
		slide(l, part_of(l, to_s));
	int64_t n = part_of(l, from_s), oldest = l->newest - ZN_LEDGER_PARTS + 1;
	for (n = n > oldest ? n : oldest; n <= part_of(l, to_s); n++)
		*part(l, n) += gpus * (fmin(to_s, (double)(n + 1) * part_s(l)) - fmax(from_s, (double)n * part_s(l)));
}

double zn_ledger_sum(struct zn_ledger *l, double now_s)
{
	double sum = 0;

	slide(l, part_of(l, now_s));
	for (int i = 0; i < ZN_LEDGER_PARTS; i++)
		sum += l->gpu_s[i];
	return sum;
}

double zn_ledger_next_s(const struct zn_ledger *l, double now_s)
{
	int64_t n = part_of(l, now_s);

	while ((double)n * part_s(l) <= now_s) /* rounding may need two */
		n++;
	return (double)n * part_s(l);
}
