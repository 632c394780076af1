#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/units.h"
#include "tap.h"

static const struct { const char *text; int rc; uint64_t v; } sizes[] = {
	{ "0", 0, 0 }, { "512", 0, 512 }, { "1K", 0, 1024 }, { "64k", 0, 65536 }, { "1.5G", 0, 1610612736 },
	{ "2TiB", 0, 2199023255552 }, { "100MB", 0, 104857600 }, { "100B", 0, 100 }, { "1P", 0, UINT64_C(1) << 50 },
	{ "8191P", 0, UINT64_C(8191) << 50 }, { "0.5K", 0, 512 }, { "007", 0, 7 },
	{ "8192P", -ERANGE, 0 }, { "99999999999999999999", -ERANGE, 0 }, { "1e3", -EINVAL, 0 },
	{ "", -EINVAL, 0 }, { "-1", -EINVAL, 0 }, { "+1", -EINVAL, 0 }, { "G", -EINVAL, 0 }, { "1X", -EINVAL, 0 },
	{ "1Ki", -EINVAL, 0 }, { "1GG", -EINVAL, 0 }, { "1 G", -EINVAL, 0 }, { " 1", -EINVAL, 0 }, { "1.", -EINVAL, 0 },
	{ "1.G", -EINVAL, 0 }, { "0x10", -EINVAL, 0 }, { "inf", -EINVAL, 0 }, { "nan", -EINVAL, 0 }, { "1\n", -EINVAL, 0 },
	{ "1,5G", -EINVAL, 0 },
};

static const struct { const char *text; int rc; double v; } durations[] = {
	{ "0", 0, 0 }, { "90", 0, 90 }, { "1.5h", 0, 5400 }, { "2h30m", 0, 9000 }, { "1d", 0, 86400 },
	{ "500ms", 0, 0.5 }, { "1w", 0, 604800 }, { "90s", 0, 90 }, { "10min", 0, 600 }, { "0.25", 0, 0.25 },
	{ "02:30", 0, 150 }, { "02:00:00", 0, 7200 }, { "1-02:03:04", 0, 93784 }, { "99:59", 0, 5999 }, { "0s", 0, 0 },
	{ "", -EINVAL, 0 }, { "-5", -EINVAL, 0 }, { "h", -EINVAL, 0 }, { "1y", -EINVAL, 0 }, { "1h30", -EINVAL, 0 },
	{ "0h5", -EINVAL, 0 }, { "1H", -EINVAL, 0 }, { "1:60", -EINVAL, 0 }, { "1:2:3:4", -EINVAL, 0 }, { ":30", -EINVAL, 0 },
	{ "1:", -EINVAL, 0 }, { "1-2:3", -EINVAL, 0 }, { "-1:00", -EINVAL, 0 }, { "1--1:00:00", -EINVAL, 0 },
	{ "inf", -EINVAL, 0 }, { "nan", -EINVAL, 0 }, { "1e5", -EINVAL, 0 }, { "5 m", -EINVAL, 0 }, { "5m ", -EINVAL, 0 },
	{ "99999999999999", -ERANGE, 0 }, { "9999999w", -ERANGE, 0 }, { "999999999999:00", -ERANGE, 0 },
};

/* At 2026-11-22 12:00:00 in UTC. */
#define NOW 1795348800.0
static const struct { const char *text; int rc; double v; } times[] = {
	{ "now", 0, NOW }, { "now+2h", 0, NOW + 7200 }, { "+30m", 0, NOW + 1800 }, { "@1700000000", 0, 1700000000 },
	{ "@1700000000.5", 0, 1700000000.5 }, { "@0", 0, 0 },
	{ "18:30", 0, NOW + 23400 }, { "11:59", 0, NOW + 86340 }, { "12:00", 0, NOW + 86400 }, { "12:00:01", 0, NOW + 1 },
	{ "2026-12-31", 0, 1798675200 }, { "2026-12-31T18:30", 0, 1798741800 }, { "2026-12-31 18:30:05", 0, 1798741805 },
	{ "2026-12-31T18:30:05Z", 0, 1798741805 }, { "2024-02-29", 0, 1709164800 },
	{ "", -EINVAL, 0 }, { "@", -EINVAL, 0 }, { "@-1", -EINVAL, 0 }, { "@x", -EINVAL, 0 }, { "@inf", -EINVAL, 0 },
	{ "+", -EINVAL, 0 }, { "now+", -EINVAL, 0 }, { "now-5m", -EINVAL, 0 }, { "nowhere", -EINVAL, 0 },
	{ "24:00", -EINVAL, 0 }, { "12:60", -EINVAL, 0 }, { "12", -EINVAL, 0 }, { "12:00:", -EINVAL, 0 },
	{ "12:00x", -EINVAL, 0 }, { "12:00:001", -EINVAL, 0 },
	{ "2026-13-01", -EINVAL, 0 }, { "2026-02-31", -EINVAL, 0 }, { "2026-02-29", -EINVAL, 0 }, { "2026-11-31", -EINVAL, 0 },
	{ "2026-12-31T25:00", -EINVAL, 0 }, { "2026-12-31x", -EINVAL, 0 }, { "tomorrow", -EINVAL, 0 },
};

/* The same now, and an end after it. */
static const struct { const char *text; double from_s; int rc; double v; } untils[] = {
	{ "13:00", NOW + 7200, 0, NOW + 90000 }, { "15:00", NOW + 7200, 0, NOW + 10800 }, { "14:00", NOW + 7200, 0, NOW + 93600 },
	{ "14:00:01", NOW + 7200, 0, NOW + 7201 }, { "11:00", NOW + 79200, 0, NOW + 82800 }, { "12:00", NOW, 0, NOW + 86400 },
	{ "13:00", NOW + 864000, 0, NOW + 867600 }, { "11:00", NOW - 7200, 0, NOW - 3600 },
	{ "+1h", NOW + 7200, 0, NOW + 3600 }, { "now", NOW + 7200, 0, NOW }, { "@0", NOW + 7200, 0, 0 },
	{ "2026-11-22T13:00", NOW + 7200, 0, NOW + 3600 }, { "25:00", NOW + 7200, -EINVAL, 0 },
};

static void check_untils(void)
{
	for (size_t i = 0; i < sizeof(untils) / sizeof(*untils); i++) {
		double v = 4711;
		struct zn_err err = { "" };
		int rc = zn_parse_until(untils[i].text, untils[i].from_s, NOW, &v, &err);
		tap_ok(rc == untils[i].rc && v == (rc ? 4711 : untils[i].v) && !!rc == !!*err.text,
		       "'%s' after %+.0f s: %d %.1f %s", untils[i].text, untils[i].from_s - NOW, rc, v, err.text);
	}
}

static void check_texts(void)
{
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		uint64_t v = 4711;
		struct zn_err err = { "" };
		int rc = zn_parse_bytes(sizes[i].text, &v, &err);
		tap_ok(rc == sizes[i].rc && v == (rc ? 4711 : sizes[i].v) && !!rc == !!*err.text,
		       "size '%s': %d %s", rc ? "" : sizes[i].text, rc, err.text);
	}
	for (size_t i = 0; i < sizeof(durations) / sizeof(*durations); i++) {
		double v = 4711;
		struct zn_err err = { "" };
		int rc = zn_parse_duration(durations[i].text, &v, &err);
		tap_ok(rc == durations[i].rc && fabs(v - (rc ? 4711 : durations[i].v)) < 1e-9 && !!rc == !!*err.text,
		       "duration '%s': %d %s", durations[i].text, rc, err.text);
	}
	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		double v = 4711;
		struct zn_err err = { "" };
		int rc = zn_parse_time(times[i].text, NOW, &v, &err);
		tap_ok(rc == times[i].rc && v == (rc ? 4711 : times[i].v) && !!rc == !!*err.text,
		       "time '%s': %d %.1f %s", times[i].text, rc, v, err.text);
	}
}

static const struct { const char *text; int rc_u, rc_i, rc_f; } numbers[] = {
	{ "0", 0, 0, 0 }, { "18446744073709551615", 0, -ERANGE, 0 }, { "18446744073709551616", -ERANGE, -ERANGE, 0 },
	{ "9223372036854775807", 0, 0, 0 }, { "9223372036854775808", 0, -ERANGE, 0 },
	{ "-9223372036854775808", -EINVAL, 0, 0 }, { "-9223372036854775809", -EINVAL, -ERANGE, 0 },
	{ "-0", -EINVAL, 0, 0 }, { "1.5", -EINVAL, -EINVAL, 0 }, { "1e3", -EINVAL, -EINVAL, 0 }, { "-1.5e-3", -EINVAL, -EINVAL, 0 },
	{ "", -EINVAL, -EINVAL, -EINVAL }, { "-", -EINVAL, -EINVAL, -EINVAL }, { "--1", -EINVAL, -EINVAL, -EINVAL },
	{ "1 ", -EINVAL, -EINVAL, -EINVAL }, { " 1", -EINVAL, -EINVAL, -EINVAL }, { "0x1", -EINVAL, -EINVAL, -EINVAL },
	{ "nan", -EINVAL, -EINVAL, -EINVAL }, { "inf", -EINVAL, -EINVAL, -EINVAL }, { "1e999", -EINVAL, -EINVAL, -EINVAL },
	{ "e5", -EINVAL, -EINVAL, -EINVAL }, { "1e", -EINVAL, -EINVAL, -EINVAL },
};

static void check_numbers(void)
{
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		const char *t = numbers[i].text;
		uint64_t u = 0;
		int64_t n = 0;
		double f = 0;
		bool good = zn_parse_u64(t, 0, UINT64_MAX, &u, NULL) == numbers[i].rc_u &&
		            zn_parse_i64(t, INT64_MIN, INT64_MAX, &n, NULL) == numbers[i].rc_i &&
		            zn_parse_f64(t, &f, NULL) == numbers[i].rc_f;
		if (good && !numbers[i].rc_u)
			good = u == strtoull(t, NULL, 10);
		if (good && !numbers[i].rc_i)
			good = n == strtoll(t, NULL, 10);
		tap_ok(good, "number '%s'", t);
	}
	uint64_t u;
	struct zn_err err;
	tap_ok(zn_parse_u64("0", 1, 8, &u, &err) == -ERANGE && !strcmp(err.text, "'0' is not between 1 and 8"),
	       "%s", err.text);
}

static void check_formats(void)
{
	static const struct { uint64_t v; const char *text; } bytes[] = {
		{ 0, "0" }, { 1023, "1023" }, { 1024, "1.0K" }, { 1048524, "1023.9K" }, { 1048575, "1.0M" },
		{ UINT64_C(80) << 30, "80.0G" }, { UINT64_C(3) << 39, "1.5T" }, { UINT64_MAX, "16.0E" },
	};
	static const struct { double v; const char *text; } durs[] = {
		{ 0, "0s" }, { 0.25, "0.25s" }, { 9.5, "9.50s" }, { 42, "42s" }, { 59.9, "59s" }, { 60, "1m00s" },
		{ 192.5, "3m12s" }, { 7500, "2h05m" }, { 356400, "4d03h" }, { -42, "-42s" }, { 1e300, "11574074074d01h" },
	};
	static const struct { double v; const char *text; } moments[] = {
		{ 0, "1970-01-01 00:00:00" }, { 1700000000.9, "2023-11-14 22:13:20" }, { -0.5, "1969-12-31 23:59:59" },
		{ 8.22623e+33, "@8.22623e+33" }, { -1e300, "@-1e+300" },
	};
	char to[ZN_UNIT_TEXT];

	for (size_t i = 0; i < sizeof(bytes) / sizeof(*bytes); i++)
		tap_ok(!strcmp(zn_format_bytes(bytes[i].v, to), bytes[i].text), "bytes %s: %s", bytes[i].text, to);
	for (size_t i = 0; i < sizeof(durs) / sizeof(*durs); i++)
		tap_ok(!strcmp(zn_format_duration(durs[i].v, to), durs[i].text), "duration %s: %s", durs[i].text, to);
	for (size_t i = 0; i < sizeof(moments) / sizeof(*moments); i++)
		tap_ok(!strcmp(zn_format_time(moments[i].v, to), moments[i].text), "time %s: %s", moments[i].text, to);
}

int main(void)
{
	setenv("TZ", "UTC", 1);
	tzset();
	check_texts();
	check_untils();
	check_numbers();
	check_formats();
	return tap_done();
}
