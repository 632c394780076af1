/* What is counted comes out as Prometheus reads it: escaped, in as few digits as are the same number, buckets that add up. */
#include <math.h>
#include <string.h>

#include "meter/meter.h"
#include "tap.h"

static bool is(struct zn_buf *b, const char *expected)
{
	const char *text = zn_buf_text(b);
	bool same = text && !strcmp(text, expected);

	if (!same)
		printf("# got:\n# %s\n", text ? text : "(nothing)");
	zn_buf_done(b);
	*b = (struct zn_buf){ 0 };
	return same;
}

static void check_heads(void)
{
	static const struct { struct zn_meter m; const char *text; } rows[] = {
		{ { "a_total", "How many.", ZN_METER_COUNTER }, "# HELP a_total How many.\n# TYPE a_total counter\n" },
		{ { "b", "Two\nlines, a \\ and \"quotes\".", ZN_METER_GAUGE },
		  "# HELP b Two\\nlines, a \\\\ and \"quotes\".\n# TYPE b gauge\n" },
		{ { "c_seconds", "", ZN_METER_HISTOGRAM }, "# HELP c_seconds \n# TYPE c_seconds histogram\n" },
	};
	struct zn_buf b = { 0 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		zn_meter_begin(&b, &rows[i].m);
		tap_ok(is(&b, rows[i].text), "the head of %s", rows[i].m.name);
	}
}

static void check_numbers(void)
{
	static const struct { double v; const char *text; } rows[] = {
		{ 0, "n 0\n" }, { 1, "n 1\n" }, { -1.5, "n -1.5\n" }, { 0.1, "n 0.1\n" }, { 1e15, "n 1e+15\n" }, { 123456789012345., "n 123456789012345\n" },
		{ 9007199254740991., "n 9007199254740991\n" }, { 1.0 / 3, "n 0.3333333333333333\n" }, { 0.1 + 0.2, "n 0.30000000000000004\n" },
		{ INFINITY, "n +Inf\n" }, { -INFINITY, "n -Inf\n" }, { NAN, "n NaN\n" }, { 5e-324, "n 4.94065645841247e-324\n" },
	};
	static const struct zn_meter m = { "n", "", ZN_METER_GAUGE };
	struct zn_buf b = { 0 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		zn_meter_put(&b, &m, (struct zn_labels){ 0 }, rows[i].v);
		tap_ok(is(&b, rows[i].text), "the number %g", rows[i].v);
	}
}

static void check_labels(void)
{
	static const struct zn_meter m = { "x", "", ZN_METER_GAUGE };
	const struct zn_label v[] = { { "quota", "user:a\"b\\c\nd" }, { "of", "grün" }, { "none", "" } };
	struct zn_buf b = { 0 };

	zn_meter_put(&b, &m, (struct zn_labels){ v, 1 }, 2);
	tap_ok(is(&b, "x{quota=\"user:a\\\"b\\\\c\\nd\"} 2\n"), "a label is escaped");
	zn_meter_put(&b, &m, (struct zn_labels){ v + 1, 2 }, 3);
	tap_ok(is(&b, "x{of=\"grün\",none=\"\"} 3\n"), "two labels, one of them empty");
}

static void check_hist(void)
{
	static const double bounds[] = { 0.1, 1, 10 };
	static const struct zn_meter m = { "w_seconds", "", ZN_METER_HISTOGRAM };
	static const struct zn_label v[] = { { "a", "b" } };
	static const double values[] = { -1, 0.1, 0.100001, 1, 10.5, 1e9, NAN };
	struct zn_hist h = ZN_HIST(bounds);
	struct zn_buf b = { 0 };

	zn_meter_put_hist(&b, &m, (struct zn_labels){ 0 }, &h);
	tap_ok(is(&b, "w_seconds_bucket{le=\"0.1\"} 0\nw_seconds_bucket{le=\"1\"} 0\nw_seconds_bucket{le=\"10\"} 0\n"
	              "w_seconds_bucket{le=\"+Inf\"} 0\nw_seconds_sum 0\nw_seconds_count 0\n"), "an empty histogram has its buckets");
	for (size_t i = 0; i < sizeof(values) / sizeof(*values) - 1; i++)
		zn_hist_add(&h, values[i]);
	zn_meter_put_hist(&b, &m, (struct zn_labels){ v, 1 }, &h);
	tap_ok(is(&b, "w_seconds_bucket{a=\"b\",le=\"0.1\"} 2\nw_seconds_bucket{a=\"b\",le=\"1\"} 4\n"
	              "w_seconds_bucket{a=\"b\",le=\"10\"} 4\nw_seconds_bucket{a=\"b\",le=\"+Inf\"} 6\n"
	              "w_seconds_sum{a=\"b\"} 1000000010.700001\nw_seconds_count{a=\"b\"} 6\n"),
	       "a value at a bound is within it, buckets are cumulative, sum and count agree");
	zn_hist_add(&h, NAN);
	tap_ok(h.count[3] == 3 && h.count[0] == 2, "what is no number is beyond the last bound");
}

int main(void)
{
	check_heads();
	check_numbers();
	check_labels();
	check_hist();
	return tap_done();
}
