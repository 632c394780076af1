/* calendar: when a job recurs next.
 *
 * That is looked for on the clock on the wall, day by day and then hand by hand, and only what is found there is
 * made a time since the epoch.  If the clock leaps over it there is no such time, and the search goes on behind
 * the leap.
 */
#include <time.h>

#include "job/calendar.h"

enum { DAY_S = 86400 };

/* ---- on the wall ---- */

/* The least of the set that is not below v; -1: there is none. */
static int at_least(uint64_t set, int v)
{
	uint64_t rest = v < 64 ? set >> v : 0;

	return rest ? v + __builtin_ctzll(rest) : -1;
}

static int month_days(const struct tm *tm)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int year = tm->tm_year + 1900;
	bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[tm->tm_mon] + (tm->tm_mon == 1 && is_leap);
}

static bool has_day(const struct zn_calendar *c, const struct tm *tm)
{
	int year = tm->tm_year + 1900 - ZN_CALENDAR_YEAR_MIN;
	int day = c->days_from_end ? month_days(tm) - tm->tm_mday : tm->tm_mday - 1;

	return year >= 0 && c->years[year / 64] >> year % 64 & c->months >> tm->tm_mon & c->days >> day &
	                    c->weekdays >> (tm->tm_wday + 6) % 7 & 1;
}

/* The first time of tm's day that is not before tm. */
static bool find_time(const struct zn_calendar *c, struct tm *tm)
{
	int second = at_least(c->seconds, tm->tm_sec);
	int minute = at_least(c->minutes, tm->tm_min + (second < 0));
	int hour = at_least(c->hours, tm->tm_hour + (minute < 0));

	if (hour < 0)
		return false;
	if (hour != tm->tm_hour)
		minute = at_least(c->minutes, 0);
	if (hour != tm->tm_hour || minute != tm->tm_min)
		second = at_least(c->seconds, 0);
	tm->tm_hour = hour;
	tm->tm_min = minute;
	tm->tm_sec = second;
	return true;
}

static void to_next_day(struct tm *tm)
{
	tm->tm_hour = tm->tm_min = tm->tm_sec = 0;
	tm->tm_wday = (tm->tm_wday + 1) % 7;
	if (++tm->tm_mday <= month_days(tm))
		return;
	tm->tm_mday = 1;
	if (++tm->tm_mon < 12)
		return;
	tm->tm_mon = 0;
	tm->tm_year++;
}

/* Day by day: there are 84,000, and a look at one takes some ns. */
static bool find_wall(const struct zn_calendar *c, struct tm *tm)
{
	for (; tm->tm_year + 1900 <= ZN_CALENDAR_YEAR_MAX; to_next_day(tm))
		if (has_day(c, tm) && find_time(c, tm))
			return true;
	return false;
}

/* ---- since the epoch ---- */

static time_t offset_at(const struct zn_calendar *c, time_t t)
{
	struct tm tm;

	return c->is_utc ? 0 : localtime_r(&t, &tm)->tm_gmtoff;
}

/* wall is what the clock shows, as if that were UTC.  If the clock is changed there, then within a day of it; what
 * it shows twice it shows first by the old offset.  false: it never shows wall.
 */
static bool find_instant(const struct zn_calendar *c, time_t wall, time_t from, time_t *ret)
{
	time_t offsets[] = { offset_at(c, wall - DAY_S), offset_at(c, wall + DAY_S) };

	for (int i = 0; i < 2; i++) {
		time_t t = wall - offsets[i];
		if (t < from || offset_at(c, t) != offsets[i])
			continue;
		*ret = t;
		return true;
	}
	return false;
}

/* What the clock shows when it has leapt over wall. */
static time_t behind_leap(const struct zn_calendar *c, time_t wall)
{
	time_t old = offset_at(c, wall - DAY_S);
	time_t before = wall - offset_at(c, wall + DAY_S), after = wall - old;

	while (after - before > 1) {
		time_t mid = before + (after - before) / 2;
		*(offset_at(c, mid) == old ? &before : &after) = mid;
	}
	after += offset_at(c, after);
	return after > wall ? after : wall + 1; /* whatever a zone may do, the search ends */
}

bool zn_calendar_next(const struct zn_calendar *c, double after_s, double *ret_s)
{
	struct tm tm;

	if (!(after_s < ZN_CALENDAR_END_S + DAY_S))
		return false; /* or it is not a number */
	time_t from = after_s < 0 ? 0 : (time_t)after_s + 1, t;
	(c->is_utc ? gmtime_r : localtime_r)(&from, &tm);
	while (find_wall(c, &tm)) {
		time_t wall = timegm(&tm);
		if (find_instant(c, wall, from, &t)) {
			*ret_s = (double)t;
			return true;
		}
		wall = behind_leap(c, wall);
		gmtime_r(&wall, &tm);
	}
	return false;
}
