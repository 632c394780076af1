#include "base/units.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int bad(struct zn_err *err, const char *text, const char *what)
{
	return zn_err_set(err, -EINVAL, "'%s' is not %s", text, what);
}

int zn_parse_u64(const char *text, uint64_t lo, uint64_t hi, uint64_t *ret, struct zn_err *err)
{
	uint64_t v = 0;

	if (!isdigit((unsigned char)*text))
		return bad(err, text, "a whole number");
	for (const char *p = text; *p; p++) {
		if (!isdigit((unsigned char)*p))
			return bad(err, text, "a whole number");
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return zn_err_set(err, -ERANGE, "'%s' is too large", text);
	}
	if (v < lo || v > hi)
		return zn_err_set(err, -ERANGE, "'%s' is not between %llu and %llu", text,
		                  (unsigned long long)lo, (unsigned long long)hi);
	*ret = v;
	return 0;
}

int zn_parse_i64(const char *text, int64_t lo, int64_t hi, int64_t *ret, struct zn_err *err)
{
	bool minus = *text == '-';
	uint64_t v;
	int rc = zn_parse_u64(text + minus, 0, (uint64_t)INT64_MAX + minus, &v, NULL);

	if (rc == -EINVAL)
		return bad(err, text, "a whole number");
	int64_t n = minus ? (int64_t)-v : (int64_t)v;
	if (rc < 0 || n < lo || n > hi)
		return zn_err_set(err, -ERANGE, "'%s' is not between %lld and %lld", text,
		                  (long long)lo, (long long)hi);
	*ret = n;
	return 0;
}

int zn_parse_f64(const char *text, double *ret, struct zn_err *err)
{
	char *end;

	if (!*text || text[strspn(text, "0123456789.eE+-")])
		return bad(err, text, "a number");
	double v = strtod(text, &end);
	if (*end || end == text || !isfinite(v))
		return bad(err, text, "a finite number");
	*ret = v;
	return 0;
}

/* An unsigned decimal with an optional fraction ("1.5"); leaves *p behind it. */
static bool take_decimal(const char **p, double *ret)
{
	const char *s = *p;
	double v = 0, scale = 1;
	bool any = false;

	for (; isdigit((unsigned char)*s); s++, any = true)
		v = v * 10 + (*s - '0');
	if (*s == '.' && isdigit((unsigned char)s[1]))
		for (s++; isdigit((unsigned char)*s); s++)
			v += (*s - '0') * (scale /= 10);
	*p = s;
	*ret = v;
	return any;
}

int zn_parse_bytes(const char *text, uint64_t *ret, struct zn_err *err)
{
	static const char letters[] = "KMGTP";
	const char *p = text;
	double v;

	if (!take_decimal(&p, &v))
		return bad(err, text, "a size such as 512M or 1.5G");
	const char *letter = *p ? strchr(letters, toupper((unsigned char)*p)) : NULL;
	if (letter) {
		v *= (double)(UINT64_C(1) << 10 * (letter - letters + 1));
		p += p[1] == 'i' && p[2] == 'B' ? 3 : p[1] == 'B' ? 2 : 1;
	} else if (*p == 'B') {
		p++;
	}
	if (*p)
		return bad(err, text, "a size such as 512M or 1.5G");
	if (v >= 0x1p63)
		return zn_err_set(err, -ERANGE, "size '%s' is too large", text);
	*ret = (uint64_t)v;
	return 0;
}

/* [D-][HH:]MM:SS */
static int parse_clock(const char *text, double *ret_s)
{
	double days = 0, total = 0, v;
	const char *p = text, *dash = strchr(text, '-');
	int parts = 0;

	if (dash) {
		if (!take_decimal(&p, &days) || p != dash)
			return -EINVAL;
		p++;
	}
	do {
		if (!isdigit((unsigned char)*p) || !take_decimal(&p, &v) || (parts && v >= 60))
			return -EINVAL;
		total = total * 60 + v;
		parts++;
	} while (*p == ':' && p++);
	if (*p || parts > 3 || (dash && parts != 3) || parts < 2)
		return -EINVAL;
	*ret_s = days * 86400 + total;
	return 0;
}

static const struct {
	const char *name;
	double s;
} duration_units[] = {
	{ "ms", 0.001 }, { "s", 1 }, { "sec", 1 }, { "m", 60 }, { "min", 60 },
	{ "h", 3600 }, { "d", 86400 }, { "w", 7 * 86400 },
};

static double unit_seconds(const char *name, size_t n)
{
	for (size_t i = 0; i < sizeof(duration_units) / sizeof(*duration_units); i++)
		if (strlen(duration_units[i].name) == n && !memcmp(duration_units[i].name, name, n))
			return duration_units[i].s;
	return 0;
}

static int parse_duration_sum(const char *text, double *ret_s)
{
	const char *p = text;
	double total = 0, v;

	while (*p) {
		bool first = p == text;
		if (!take_decimal(&p, &v))
			return -EINVAL;
		size_t n = strspn(p, "abcdefghijklmnopqrstuvwxyz");
		double unit = n ? unit_seconds(p, n) : first && !*p ? 1 : 0;
		if (unit == 0)
			return -EINVAL;
		total += v * unit;
		p += n;
	}
	*ret_s = total;
	return 0;
}

int zn_parse_duration(const char *text, double *ret_s, struct zn_err *err)
{
	double s;
	int rc = !*text ? -EINVAL : strchr(text, ':') ? parse_clock(text, &s) : parse_duration_sum(text, &s);

	if (rc < 0)
		return bad(err, text, "a duration such as 90, 1h30m or 02:00:00");
	if (s > 1e11)
		return zn_err_set(err, -ERANGE, "duration '%s' is too long", text);
	*ret_s = s;
	return 0;
}

/* The first moment after from_s at which the local clock shows this time of day. */
static int next_time_of_day(const char *text, double from_s, double *ret_s)
{
	time_t from = (time_t)from_s;
	struct tm tm;
	int h, m, s = 0, n = 0;

	if (sscanf(text, "%2d:%2d%n:%2d%n", &h, &m, &n, &s, &n) < 2 || text[n] || h > 23 || m > 59 || s > 60 ||
	    strspn(text, "0123456789:") != strlen(text))
		return -EINVAL;
	localtime_r(&from, &tm);
	tm.tm_hour = h;
	tm.tm_min = m;
	tm.tm_sec = s;
	tm.tm_isdst = -1;
	if ((double)mktime(&tm) <= from_s) {
		tm.tm_mday++;
		tm.tm_isdst = -1;
	}
	*ret_s = (double)mktime(&tm);
	return 0;
}

static int parse_date(const char *text, double *ret_s)
{
	static const char *const shapes[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M",
	                                      "%Y-%m-%d %H:%M", "%Y-%m-%d" };

	for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
		struct tm tm = { .tm_isdst = -1 };
		const char *end = strptime(text, shapes[i], &tm);
		if (!end || (*end && strcmp(end, "Z") != 0))
			continue;
		int day = tm.tm_mday;
		time_t t = *end ? timegm(&tm) : mktime(&tm);
		if (tm.tm_mday != day)
			return -EINVAL; /* the 31st of February */
		*ret_s = (double)t;
		return 0;
	}
	return -EINVAL;
}

int zn_parse_until(const char *text, double from_s, double now_s, double *ret_s, struct zn_err *err)
{
	double v;
	int rc;

	if (*text == '@') {
		rc = zn_parse_f64(text + 1, &v, NULL);
		if (rc == 0 && v < 0)
			rc = -EINVAL;
	} else if (!strcmp(text, "now")) {
		v = now_s;
		rc = 0;
	} else if (*text == '+' || !strncmp(text, "now+", 4)) {
		rc = zn_parse_duration(strchr(text, '+') + 1, &v, NULL);
		if (rc == 0)
			v += now_s;
	} else if (strchr(text, '-')) {
		rc = parse_date(text, &v);
	} else {
		rc = next_time_of_day(text, from_s, &v);
	}
	if (rc < 0)
		return bad(err, text, "a time such as 18:30, +2h, 2026-12-31T18:30 or @1800000000");
	*ret_s = v;
	return 0;
}

int zn_parse_time(const char *text, double now_s, double *ret_s, struct zn_err *err)
{
	return zn_parse_until(text, now_s, now_s, ret_s, err);
}

char *zn_format_bytes(uint64_t bytes, char to[ZN_UNIT_TEXT])
{
	static const char letters[] = "KMGTPE";
	double v = (double)bytes;
	int i = -1;

	for (; v >= 1023.95 && letters[i + 1]; i++)
		v /= 1024;
	if (i < 0)
		snprintf(to, ZN_UNIT_TEXT, "%llu", (unsigned long long)bytes);
	else
		snprintf(to, ZN_UNIT_TEXT, "%.1f%c", v, letters[i]);
	return to;
}

char *zn_format_duration(double s, char to[ZN_UNIT_TEXT])
{
	const char *minus = s < 0 ? "-" : "";
	double a = fabs(s);
	unsigned long long n = a < 1e15 ? (unsigned long long)a : 1000000000000000ull;

	if (a == 0)
		snprintf(to, ZN_UNIT_TEXT, "0s");
	else if (a < 10)
		snprintf(to, ZN_UNIT_TEXT, "%s%.2fs", minus, a);
	else if (n < 60)
		snprintf(to, ZN_UNIT_TEXT, "%s%llus", minus, n);
	else if (n < 3600)
		snprintf(to, ZN_UNIT_TEXT, "%s%llum%02llus", minus, n / 60, n % 60);
	else if (n < 86400)
		snprintf(to, ZN_UNIT_TEXT, "%s%lluh%02llum", minus, n / 3600, n / 60 % 60);
	else
		snprintf(to, ZN_UNIT_TEXT, "%s%llud%02lluh", minus, n / 86400, n / 3600 % 24);
	return to;
}

char *zn_format_time(double epoch_s, char to[ZN_UNIT_TEXT])
{
	bool is_date = fabs(epoch_s) < 1e11; /* the year 5138; what is larger was never a time */
	time_t t = is_date ? (time_t)epoch_s : 0;
	struct tm tm;

	t -= is_date && (double)t > epoch_s; /* floor, without loading libm for it */
	if (!is_date || !localtime_r(&t, &tm) || !strftime(to, ZN_UNIT_TEXT, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(to, ZN_UNIT_TEXT, "@%.10g", epoch_s);
	return to;
}
