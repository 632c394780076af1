/* When a job recurs.  The times are those that systemd 252 gives, unless it gives up on an expression that its
 * manual allows, or picks the second of two equal times for what its libc had been asked before.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/units.h"
#include "job/calendar.h"
#include "tap.h"

/* Written out, for zoneinfo need not be installed. */
#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"
#define LORD_HOWE "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"
#define A_SUNDAY "2026-11-22 12:00:00"

static const struct { const char *text, *zone, *after_utc, *next[4]; } rows[] = {
	/* shorthands */
	{ "minutely", "UTC", A_SUNDAY, { "2026-11-22 12:01:00 +0000", "2026-11-22 12:02:00 +0000" } },
	{ "hourly", "UTC", A_SUNDAY, { "2026-11-22 13:00:00 +0000", "2026-11-22 14:00:00 +0000" } },
	{ "daily", "UTC", A_SUNDAY, { "2026-11-23 00:00:00 +0000", "2026-11-24 00:00:00 +0000" } },
	{ "weekly", "UTC", A_SUNDAY, { "2026-11-23 00:00:00 +0000", "2026-11-30 00:00:00 +0000" } },
	{ "Monthly", "UTC", A_SUNDAY, { "2026-12-01 00:00:00 +0000", "2027-01-01 00:00:00 +0000" } },
	{ "quarterly", "UTC", A_SUNDAY, { "2027-01-01 00:00:00 +0000", "2027-04-01 00:00:00 +0000" } },
	{ "semiannually", "UTC", A_SUNDAY, { "2027-01-01 00:00:00 +0000", "2027-07-01 00:00:00 +0000" } },
	{ "semi-annually", "UTC", A_SUNDAY, { "2027-01-01 00:00:00 +0000", "2027-07-01 00:00:00 +0000" } },
	{ "biannually", "UTC", A_SUNDAY, { "2027-01-01 00:00:00 +0000", "2027-07-01 00:00:00 +0000" } },
	{ "bi-annually", "UTC", A_SUNDAY, { "2027-01-01 00:00:00 +0000", "2027-07-01 00:00:00 +0000" } },
	{ "yearly", "UTC", A_SUNDAY, { "2027-01-01 00:00:00 +0000", "2028-01-01 00:00:00 +0000" } },
	{ "ANNUALLY", "UTC", A_SUNDAY, { "2027-01-01 00:00:00 +0000", "2028-01-01 00:00:00 +0000" } },
	{ "daily 02:00", "UTC", A_SUNDAY, { "2026-11-23 02:00:00 +0000", "2026-11-24 02:00:00 +0000" } },
	{ "weekly 03:30", "UTC", A_SUNDAY, { "2026-11-23 03:30:00 +0000", "2026-11-30 03:30:00 +0000" } },
	{ "monthly 04:00 UTC", BERLIN, A_SUNDAY, { "2026-12-01 05:00:00 +0100", "2027-01-01 05:00:00 +0100" } },
	{ "@1800000000", BERLIN, A_SUNDAY, { "2027-01-15 09:00:00 +0100", "never" } },
	/* the manual's examples */
	{ "Sat,Thu,Mon..Wed,Sat..Sun", "UTC", A_SUNDAY, { "2026-11-23 00:00:00 +0000", "2026-11-24 00:00:00 +0000",
	                                                  "2026-11-25 00:00:00 +0000", "2026-11-26 00:00:00 +0000" } },
	{ "Mon,Sun 12-*-* 2,1:23", "UTC", "2012-11-18 02:23:00", { "2012-11-19 01:23:00 +0000",
	                                                          "2012-11-19 02:23:00 +0000",
	                                                          "2012-11-25 01:23:00 +0000" } },
	{ "Wed *-1", "UTC", A_SUNDAY, { "2027-09-01 00:00:00 +0000", "2027-12-01 00:00:00 +0000" } },
	{ "Wed, 17:48", "UTC", A_SUNDAY, { "2026-11-25 17:48:00 +0000", "2026-12-02 17:48:00 +0000" } },
	{ "10-15", "UTC", A_SUNDAY, { "2027-10-15 00:00:00 +0000" } },
	{ "monday *-12-* 17:00", "UTC", A_SUNDAY, { "2026-12-07 17:00:00 +0000", "2026-12-14 17:00:00 +0000" } },
	{ "12,14,13,12:20,10,30", "UTC", A_SUNDAY, { "2026-11-22 12:10:00 +0000", "2026-11-22 12:20:00 +0000",
	                                             "2026-11-22 12:30:00 +0000", "2026-11-22 13:10:00 +0000" } },
	{ "mon,fri *-1/2-1,3 *:30:45", "UTC", A_SUNDAY, { "2027-01-01 00:30:45 +0000", "2027-01-01 01:30:45 +0000" } },
	{ "2003-03-05 05:40", "UTC", "2003-03-05 05:39:59", { "2003-03-05 05:40:00 +0000", "never" } },
	{ "*-02~03", "UTC", A_SUNDAY, { "2027-02-26 00:00:00 +0000", "2028-02-27 00:00:00 +0000" } },
	{ "Mon *-05~07/1", "UTC", A_SUNDAY, { "2027-05-31 00:00:00 +0000", "2028-05-29 00:00:00 +0000" } },
	/* lists, ranges and repetitions */
	{ "*:0/10", "UTC", A_SUNDAY, { "2026-11-22 12:10:00 +0000", "2026-11-22 12:20:00 +0000" } },
	{ "*:*:50..58/4", "UTC", A_SUNDAY, { "2026-11-22 12:00:50 +0000", "2026-11-22 12:00:54 +0000",
	                                     "2026-11-22 12:00:58 +0000", "2026-11-22 12:01:50 +0000" } },
	{ "8..18/5:0", "UTC", A_SUNDAY, { "2026-11-22 13:00:00 +0000", "2026-11-22 18:00:00 +0000",
	                                  "2026-11-23 08:00:00 +0000" } },
	{ "10/9,22:29", BERLIN, A_SUNDAY, { "2026-11-22 19:29:00 +0100", "2026-11-22 22:29:00 +0100",
	                                    "2026-11-23 10:29:00 +0100" } },
	{ "Sat-Sun 1:0:59", "UTC", A_SUNDAY, { "2026-11-28 01:00:59 +0000", "2026-11-29 01:00:59 +0000" } },
	{ "2024/3-1-1", "UTC", A_SUNDAY, { "2027-01-01 00:00:00 +0000", "2030-01-01 00:00:00 +0000" } },
	{ "99/3-1-1", "UTC", A_SUNDAY, { "2029-01-01 00:00:00 +0000" } },
	{ "69-1-1", "UTC", A_SUNDAY, { "2069-01-01 00:00:00 +0000", "never" } },
	{ "*-*-30..32/3", "UTC", A_SUNDAY, { "2026-11-30 00:00:00 +0000", "2026-12-30 00:00:00 +0000" } },
	{ "*-*~07/5", "UTC", A_SUNDAY, { "2026-11-24 00:00:00 +0000", "2026-11-29 00:00:00 +0000",
	                                 "2026-12-25 00:00:00 +0000" } },
	{ "*-*~1,28", "UTC", A_SUNDAY, { "2026-11-30 00:00:00 +0000", "2026-12-04 00:00:00 +0000" } },
	{ "*-*~*", "UTC", A_SUNDAY, { "2026-11-23 00:00:00 +0000" } },
	{ "*-1,31", "UTC", "2027-02-01 00:00:00", { "2027-03-01 00:00:00 +0000", "2027-03-31 00:00:00 +0000" } },
	{ " Mon   *-*  1:1  utc ", "UTC", A_SUNDAY, { "2026-11-23 01:01:00 +0000" } },
	/* leap years, and what there is no more or never was */
	{ "*-02-29", "UTC", A_SUNDAY, { "2028-02-29 00:00:00 +0000", "2032-02-29 00:00:00 +0000" } },
	{ "*-02-29", "UTC", "2096-03-01 00:00:00", { "2104-02-29 00:00:00 +0000" } },
	{ "Mon *-02-29", "UTC", A_SUNDAY, { "2044-02-29 00:00:00 +0000" } },
	{ "2199-12-31 23:59:59", "UTC", A_SUNDAY, { "2199-12-31 23:59:59 +0000", "never" } },
	{ "2020-01-01", "UTC", A_SUNDAY, { "never" } },
	{ "*-02-30", "UTC", A_SUNDAY, { "never" } },
	{ "*-*", "UTC", "2199-12-31 00:00:00", { "never" } },
	/* the clock is put forward, and back */
	{ "02:30", BERLIN, "2026-03-27 12:00:00", { "2026-03-28 02:30:00 +0100", "2026-03-30 02:30:00 +0200" } },
	{ "*:0/30", BERLIN, "2026-03-29 00:00:00", { "2026-03-29 01:30:00 +0100", "2026-03-29 03:00:00 +0200" } },
	{ "Sun *-3-25..31 2:*:*", BERLIN, A_SUNDAY, { "never" } },
	{ "02:30", BERLIN, "2026-10-24 12:00:00", { "2026-10-25 02:30:00 +0200", "2026-10-26 02:30:00 +0100" } },
	{ "02:30", BERLIN, "2026-10-25 01:10:00", { "2026-10-25 02:30:00 +0100", "2026-10-26 02:30:00 +0100" } },
	{ "hourly", BERLIN, "2026-10-24 23:30:00", { "2026-10-25 02:00:00 +0200", "2026-10-25 03:00:00 +0100" } },
	{ "*:0/30", BERLIN, "2026-10-25 01:10:00", { "2026-10-25 02:30:00 +0100", "2026-10-25 03:00:00 +0100" } },
	{ "*:0/30 UTC", BERLIN, "2026-10-25 00:30:00", { "2026-10-25 02:00:00 +0100", "2026-10-25 02:30:00 +0100" } },
	{ "*-*~7 *:22", BERLIN, "2026-10-25 00:00:00", { "2026-10-25 02:22:00 +0200", "2026-10-25 03:22:00 +0100" } },
	{ "02:15", LORD_HOWE, "2026-10-03 00:00:00", { "2026-10-05 02:15:00 +1100" } },
	{ "*:0/15", LORD_HOWE, "2026-10-03 15:00:00", { "2026-10-04 01:45:00 +1030", "2026-10-04 02:30:00 +1100" } },
	{ "*:0/15", LORD_HOWE, "2026-04-04 14:30:00", { "2026-04-05 01:45:00 +1100", "2026-04-05 02:00:00 +1030" } },
};

static const char *moment(double at_s, char to[64])
{
	time_t t = (time_t)at_s;
	struct tm tm;

	strftime(to, 64, "%Y-%m-%d %H:%M:%S %z", localtime_r(&t, &tm));
	return to;
}

static void use_zone(const char *zone)
{
	setenv("TZ", zone, 1);
	tzset();
}

static double utc(const char *text)
{
	char with_zone[32];
	double ret = NAN;

	snprintf(with_zone, sizeof(with_zone), "%sZ", text);
	zn_parse_time(with_zone, 0, &ret, NULL);
	return ret;
}

static void check_next(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct zn_calendar c;
		struct zn_err err = { "" };
		double at_s = utc(rows[i].after_utc);
		bool good;

		use_zone(rows[i].zone);
		good = zn_calendar_parse(rows[i].text, &c, &err) == 0;
		char got[64] = "";
		for (int n = 0; good && n < 4 && rows[i].next[n]; n++) {
			double before_s = at_s;
			bool any = zn_calendar_next(&c, at_s, &at_s);
			good = !strcmp(any ? moment(at_s, got) : strcpy(got, "never"), rows[i].next[n]) &&
			       any == (at_s > before_s);
		}
		tap_ok(good, "'%s' in %s after %s: %s%s", rows[i].text, rows[i].zone, rows[i].after_utc, got, err.text);
	}
}

static const struct { const char *text, *sentence; } errors[] = {
	{ "", "neither weekdays nor a date nor a time" }, { " ", "neither weekdays" }, { "UTC", "neither weekdays" },
	{ "tomorrow", "'tomorrow' is no weekday such as Mon" }, { "Mo 10:00", "'Mo' is no weekday" },
	{ "tues", "'tues' is no weekday" }, { "Mon,,Tue", "'' is no weekday" }, { "Mon..", "'Mon..' is no weekday" },
	{ "Mon..Tue..Wed", "'Mon..Tue..Wed' is no weekday" }, { "Mon.Tue", "is no weekday" },
	{ "Fri..Mon", "the weekdays 'Fri..Mon' run backwards" },
	{ "10", "'10' is neither a date" }, { "*", "'*' is neither a date" }, { ",Mon", "',Mon' is neither a date" },
	{ "*-13-01", "the month '13' is not made of whole numbers from 1 to 12" }, { "*-0-01", "the month '0'" },
	{ "*-*-32", "the day '32'" }, { "*-*-", "the day ''" }, { "-1-1", "the year ''" },
	{ "1-1-1-1", "the month '1-1'" },
	{ "*-*~29", "the day from the end '29'" }, { "*~*-1", "the day from the end '*-1'" }, { "1~1~1", "'1~1'" },
	{ "100-1-1", "the year '100' is not made of whole numbers from 1970 to 2199" }, { "2200-1-1", "the year '2200'" },
	{ "60..80-1-1", "the year '60..80' runs backwards" }, { "@7258118400", "is no moment" }, { "@", "is no moment" },
	{ "@-1", "is no moment" }, { "@1.5", "is no moment" }, { "24:00", "the hour '24'" },
	{ "1:60", "the minute '60'" }, { "1:1:60", "the second '60'" }, { "1:", "the minute ''" },
	{ "1:1:", "the second ''" }, { "1:1:1:1", "the second '1:1'" },
	{ "*:*/5", "the minute '*/5' is not made of whole numbers" }, { "*:1,*", "the minute '*'" },
	{ "1:1:59.5", "the second '59.5' is not made of whole numbers" }, { "1,:1", "the hour ''" },
	{ "+1:1", "the hour '+1'" },
	{ "1:0/0", "the minute '0/0'" }, { "1:1/2/3", "the minute '1/2/3'" },
	{ "1:5..1", "the minute '5..1' runs backwards" },
	{ "1:0/60", "the minute '0/60' has no room" }, { "*-*-31/1", "the day '31/1' has no room" },
	{ "*-*~07/7", "the day from the end '07/7' has no room" }, { "1:5..99999999999999999999", "the minute" },
	{ "1:1 1-1", "'1-1' is out of place" }, { "Mon daily", "'daily' is out of place" },
	{ "hourly 02:00", "'02:00' is out of place" }, { "weekly *-1", "'*-1' is out of place" },
	{ "daily 02", "'02' is out of place" }, { "daily UTC 02:00", "'UTC' is out of place" },
	{ "10:00 Europe/Berlin", "'Europe/Berlin' is out of place: first come weekdays, then a date, then a time, and "
	                         "the only time zone to be named is UTC" },
	{ "Mon America/Port-au-Prince", "the only time zone" }, { "1:1 CET", "the only time zone" },
	{ "Mon *-* 1:1 UTC UTC", "'UTC' is out of place" }, { "Mon *-* 1:1 a b c", "'a' is out of place" },
	{ "2026-12-31T02:00", "the hour '2026-12-31T02'" }, { "Mon\t10:00", "is no weekday" },
};

static void check_errors(void)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		struct zn_calendar c = { .days = 4711 };
		struct zn_err err = { "" };
		int rc = zn_calendar_parse(errors[i].text, &c, &err);
		tap_ok(rc == -EINVAL && strstr(err.text, errors[i].sentence) && c.days == 4711 && !c.years[0],
		       "'%s': %d %s", errors[i].text, rc, err.text);
	}
	char text[1200] = "";
	struct zn_calendar c;
	struct zn_err err = { "" };
	memset(text, '1', sizeof(text) - 1);
	tap_ok(zn_calendar_parse(text, &c, &err) == -EINVAL && strstr(err.text, "is longer than"), "%s", err.text);
}

static void check_after(void)
{
	struct zn_calendar c;
	double s = 4711;

	use_zone("UTC");
	tap_ok(zn_calendar_parse("*:*:*", &c, NULL) == 0 && zn_calendar_next(&c, 10.5, &s) && s == 11,
	       "10.5 is followed by 11");
	tap_ok(zn_calendar_next(&c, 11, &s) && s == 12, "and 11 by 12");
	tap_ok(zn_calendar_next(&c, -1e300, &s) && s == 0, "the epoch is the first");
	tap_ok(zn_calendar_next(&c, ZN_CALENDAR_END_S - 2, &s) && s == ZN_CALENDAR_END_S - 1, "and the last of 2199");
	tap_ok(!zn_calendar_next(&c, ZN_CALENDAR_END_S - 1, &s) && !zn_calendar_next(&c, INFINITY, &s) &&
	       !zn_calendar_next(&c, NAN, &s) && s == ZN_CALENDAR_END_S - 1,
	       "is followed by none, nor is what is no time");
}

int main(void)
{
	check_next();
	check_errors();
	check_after();
	return tap_done();
}
