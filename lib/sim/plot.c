#include "sim/plot.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/file.h"

enum { BINS = 360, LEFT = 70, WIDTH = 2 * BINS, TOP = 70, HEIGHT = 130, GAP = 50, PANELS = 3 };

/* What was in each part of the time, from beginning to end. */
struct series {
	double from_s, to_s;
	double waiting[BINS], busy[BINS];      /* jobs; GPUs: in the mean */
	double waited_s[BINS], longest_s[BINS], came[BINS]; /* of those that came then: sum, most, how many */
};

/* ---- counting ---------------------------------------------------------------------------------------------- */

static double bin_s(const struct series *s)
{
	return (s->to_s - s->from_s) / BINS;
}

static size_t bin_of(const struct series *s, double at_s)
{
	double at = (at_s - s->from_s) / bin_s(s);

	return !(at > 0) ? 0 : at >= BINS - 1 ? BINS - 1 : (size_t)at;
}

/* So much from a_s to b_s: whole between the ends, which differences hold, and in part in the bins of the ends. */
static void add(const struct series *s, double *v, double *steps, double a_s, double b_s, double much)
{
	size_t a = bin_of(s, a_s), b = bin_of(s, b_s);
	double width = bin_s(s);

	if (a == b) {
		v[a] += much * (b_s - a_s) / width;
		return;
	}
	v[a] += much * (s->from_s + (double)(a + 1) * width - a_s) / width;
	v[b] += much * (b_s - s->from_s - (double)b * width) / width;
	steps[a + 1] += much;
	steps[b] -= much;
}

static void add_steps(double *v, const double *steps)
{
	double sum = 0;

	for (size_t i = 0; i < BINS; i++) {
		sum += steps[i];
		v[i] += sum;
	}
}

static void count(struct series *s, const struct zn_sim_job *jobs, size_t n)
{
	double waiting[BINS] = { 0 }, busy[BINS] = { 0 };

	*s = (struct series){ .from_s = jobs[0].submit_s, .to_s = jobs[0].end_s };
	for (size_t i = 0; i < n; i++) {
		s->from_s = fmin(s->from_s, jobs[i].submit_s);
		s->to_s = fmax(s->to_s, jobs[i].end_s);
	}
	if (s->to_s <= s->from_s)
		s->to_s = s->from_s + fmax(1, fabs(s->from_s) / 1e12);
	for (size_t i = 0; i < n; i++) {
		const struct zn_sim_job *j = &jobs[i];
		double came_s = j->submit_s, start_s = j->start_s;
		size_t at = bin_of(s, came_s);
		add(s, s->waiting, waiting, came_s, start_s, 1);
		add(s, s->busy, busy, start_s, j->end_s, j->gpus);
		for (const struct zn_sim_lost *l = j->lost; l; l = l->before) {
			add(s, s->waiting, waiting, l->start_s, l->end_s, -1);
			add(s, s->busy, busy, l->start_s, l->end_s, j->gpus);
		}
		s->came[at]++;
		s->waited_s[at] += start_s - came_s;
		s->longest_s[at] = fmax(s->longest_s[at], start_s - came_s);
	}
	add_steps(s->waiting, waiting);
	add_steps(s->busy, busy);
}

/* ---- axes -------------------------------------------------------------------------------------------------- */

static const struct { double s; const char *name; } units[] = {
	{ 365.25 * 86400, "y" }, { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" },
};

/* "2 h": in the largest unit of which it has one. */
static void put_time(struct zn_buf *b, double s)
{
	size_t i = 0;

	while (units[i].s > s * (1 + 1e-9) && units[i].s > 1)
		i++;
	zn_buf_printf(b, "%.3g %s", s / units[i].s, units[i].name);
}

/* The least of 1, 2, 2.5 and 5 times a power of ten that is not less. */
static double round_up(double v)
{
	double power = pow(10, floor(log10(v)));

	return v <= power ? power : v <= 2 * power ? 2 * power : v <= 2.5 * power ? 2.5 * power : v <= 5 * power ? 5 * power : 10 * power;
}

static double time_step(double span_s)
{
	static const double steps[] = { 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 6 * 3600, 12 * 3600, 86400, 2 * 86400, 7 * 86400,
	                                14 * 86400, 30 * 86400, 60 * 86400, 180 * 86400 };

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
		if (span_s / steps[i] <= 12)
			return steps[i];
	return 365.25 * 86400 * round_up(span_s / 12 / (365.25 * 86400));
}

static double panel_top(int panel)
{
	return TOP + panel * (HEIGHT + GAP);
}

static void put_frame(struct zn_buf *b, const struct series *s, int panel, const char *name)
{
	double y = panel_top(panel), span_s = s->to_s - s->from_s, step_s = time_step(span_s);

	zn_buf_printf(b, "<text class=\"name\" x=\"%d\" y=\"%.0f\">%s</text>\n", LEFT, y - 8, name);
	for (double at_s = 0; at_s <= span_s; at_s += step_s) {
		double x = LEFT + at_s / span_s * WIDTH;
		zn_buf_printf(b, "<path class=\"grid\" d=\"M%.1f %.0fv%d\"/><text class=\"x\" x=\"%.1f\" y=\"%.0f\">", x, y, HEIGHT, x, y + HEIGHT + 14);
		if (at_s > 0)
			put_time(b, at_s);
		else
			zn_buf_addstr(b, "0");
		zn_buf_addstr(b, "</text>\n");
	}
}

static void put_level(struct zn_buf *b, double y)
{
	zn_buf_printf(b, "<path class=\"grid\" d=\"M%d %.1fh%d\"/><text class=\"y\" x=\"%d\" y=\"%.1f\">", LEFT, y, WIDTH, LEFT - 6, y + 4);
}

/* ---- curves ------------------------------------------------------------------------------------------------ */

/* height: of each bin, 0 to 1.  Filled, or a line. */
static void put_curve(struct zn_buf *b, int panel, const char *class, const double *height)
{
	double base = panel_top(panel) + HEIGHT;

	zn_buf_printf(b, "<path class=\"%s\" d=\"M%d %.0f", class, LEFT, base);
	for (size_t i = 0, n; i < BINS; i += n) {
		for (n = 1; i + n < BINS && lround(10 * HEIGHT * height[i + n]) == lround(10 * HEIGHT * height[i]); n++)
			;
		zn_buf_printf(b, "V%.1fh%zu", base - HEIGHT * height[i], n * WIDTH / BINS);
	}
	zn_buf_printf(b, "V%.0fz\"/>\n", base);
}

static void put_linear(struct zn_buf *b, const struct series *s, int panel, const char *name, const double *v, double most, const char *unit)
{
	double height[BINS], step = round_up(most / 4);

	put_frame(b, s, panel, name);
	for (size_t i = 0; i < BINS; i++)
		height[i] = fmax(0, v[i]) / most;
	put_curve(b, panel, "area", height);
	for (double at = 0; at <= most * (1 + 1e-9); at += step) {
		put_level(b, panel_top(panel) + HEIGHT * (1 - at / most));
		zn_buf_printf(b, "%.6g%s</text>\n", at, unit);
	}
}

/* From a second to more than the longest, each power of ten or so as high as the others. */
static void put_waits(struct zn_buf *b, const struct series *s, int panel)
{
	static const double levels[] = { 1, 10, 60, 600, 3600, 36000, 4 * 86400, 40 * 86400, 365.25 * 86400 };
	double mean[BINS], longest[BINS], most = 10;

	for (size_t i = 0; i < BINS; i++)
		most = fmax(most, s->longest_s[i] * 1.2);
	for (size_t i = 0; i < BINS; i++) {
		mean[i] = s->came[i] ? fmax(0, log(fmax(1, s->waited_s[i] / s->came[i])) / log(most)) : 0;
		longest[i] = fmax(0, log(fmax(1, s->longest_s[i])) / log(most));
	}
	put_frame(b, s, panel, "wait of the jobs that came then: the mean, and (pale) the longest");
	put_curve(b, panel, "pale", longest);
	put_curve(b, panel, "area", mean);
	for (size_t i = 0; i < sizeof(levels) / sizeof(*levels) && levels[i] <= most; i++) {
		put_level(b, panel_top(panel) + HEIGHT * (1 - log(levels[i]) / log(most)));
		put_time(b, levels[i]);
		zn_buf_addstr(b, "</text>\n");
	}
}

/* ---- the picture ------------------------------------------------------------------------------------------- */

static void put_text(struct zn_buf *b, const char *text)
{
	for (; *text; text++)
		if (*text == '&' || *text == '<' || *text == '>')
			zn_buf_printf(b, "&#%d;", *text);
		else
			zn_buf_addch(b, (unsigned char)*text < ' ' || (unsigned char)*text > '~' ? '?' : *text);
}

static void put_head(struct zn_buf *b, const char *title, const char *subtitle)
{
	int width = LEFT + WIDTH + 30, height = TOP + PANELS * (HEIGHT + GAP);

	zn_buf_printf(b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\">\n<title>", width,
	              height, width, height);
	put_text(b, title);
	zn_buf_addstr(b, "</title>\n<style>text{font:12px sans-serif;fill:#333}.name{font-weight:bold}.title{font-size:16px;font-weight:bold}"
	                 ".x{text-anchor:middle;font-size:11px}.y{text-anchor:end;font-size:11px}.grid{stroke:#999;stroke-opacity:.35;fill:none}"
	                 ".area{fill:#2b6cb0;fill-opacity:.8}.pale{fill:#2b6cb0;fill-opacity:.25}</style>\n");
	zn_buf_printf(b, "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n<text class=\"title\" x=\"%d\" y=\"22\">", width, height, LEFT);
	put_text(b, title);
	zn_buf_printf(b, "</text>\n<text x=\"%d\" y=\"40\">", LEFT);
	put_text(b, subtitle);
	zn_buf_addstr(b, "</text>\n");
}

static void put_panels(struct zn_buf *b, struct series *s, double gpus)
{
	double most = 1;

	for (size_t i = 0; i < BINS; i++) {
		most = fmax(most, s->waiting[i]);
		s->busy[i] *= 100 / gpus;
	}
	put_linear(b, s, 0, "jobs that wait", s->waiting, most * 1.05, "");
	put_linear(b, s, 1, "GPUs in use", s->busy, 100, " %");
	put_waits(b, s, 2);
}

int zn_plot_write(const char *path, const struct zn_sim_job *jobs, size_t n, double gpus, const char *title, const char *subtitle,
                  struct zn_err *err)
{
	struct series *s = calloc(1, sizeof(*s));
	struct zn_buf b = { 0 };
	int rc = s ? 0 : -ENOMEM;

	if (s) {
		put_head(&b, title, subtitle);
		if (n && gpus > 0) {
			count(s, jobs, n);
			put_panels(&b, s, gpus);
		}
		zn_buf_addstr(&b, "</svg>\n");
		rc = b.failed ? -ENOMEM : 0;
	}
	rc = rc < 0 ? zn_err_set(err, rc, "out of memory") : zn_file_replace(path, b.data, b.len, 0644, err);
	zn_buf_done(&b);
	free(s);
	return rc;
}
