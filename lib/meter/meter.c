#include "meter/meter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void zn_hist_add(struct zn_hist *h, double value)
{
	unsigned i = 0;

	while (i < h->n_le && !(value <= h->le[i]))
		i++;
	h->count[i]++;
	h->sum += value;
}

static void put_escaped(struct zn_buf *to, const char *text, bool is_quoted)
{
	for (; *text; text++) {
		if (*text == '\n')
			zn_buf_addstr(to, "\\n");
		else if (*text == '\\' || (is_quoted && *text == '"'))
			zn_buf_printf(to, "\\%c", *text);
		else
			zn_buf_addch(to, *text);
	}
}

void zn_meter_begin(struct zn_buf *to, const struct zn_meter *m)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };

	zn_buf_printf(to, "# HELP %s ", m->name);
	put_escaped(to, m->help, false);
	zn_buf_printf(to, "\n# TYPE %s %s\n", m->name, types[m->type]);
}

/* The fewest digits that are the same number again. */
static void format_number(double value, char text[40])
{
	if (isnan(value)) {
		snprintf(text, 40, "NaN");
	} else if (isinf(value)) {
		snprintf(text, 40, value > 0 ? "+Inf" : "-Inf");
	} else {
		for (int digits = 15; digits <= 17; digits++) {
			snprintf(text, 40, "%.*g", digits, value);
			if (strtod(text, NULL) == value)
				break;
		}
	}
}

static void put_label(struct zn_buf *to, const struct zn_label *l, char before)
{
	zn_buf_addch(to, before);
	zn_buf_printf(to, "%s=\"", l->name);
	put_escaped(to, l->value, true);
	zn_buf_addch(to, '"');
}

/* le: one more label; NULL: none. */
static void put_sample(struct zn_buf *to, const char *name, const char *suffix, struct zn_labels labels, const char *le, double value)
{
	char number[40];
	char before = '{';

	zn_buf_printf(to, "%s%s", name, suffix);
	for (size_t i = 0; i < labels.n; i++, before = ',')
		put_label(to, &labels.v[i], before);
	if (le)
		put_label(to, &(struct zn_label){ "le", le }, before);
	if (le || labels.n)
		zn_buf_addch(to, '}');
	format_number(value, number);
	zn_buf_printf(to, " %s\n", number);
}

void zn_meter_put(struct zn_buf *to, const struct zn_meter *m, struct zn_labels labels, double value)
{
	put_sample(to, m->name, "", labels, NULL, value);
}

void zn_meter_put_hist(struct zn_buf *to, const struct zn_meter *m, struct zn_labels labels, const struct zn_hist *h)
{
	uint64_t up_to = 0;
	char le[40];

	for (unsigned i = 0; i <= h->n_le; i++) {
		up_to += h->count[i];
		format_number(i < h->n_le ? h->le[i] : HUGE_VAL, le);
		put_sample(to, m->name, "_bucket", labels, le, (double)up_to);
	}
	put_sample(to, m->name, "_sum", labels, NULL, h->sum);
	put_sample(to, m->name, "_count", labels, NULL, (double)up_to);
}
