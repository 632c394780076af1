/* calendar: the times at which a job recurs, written as for systemd's OnCalendar.
 *
 *	[WEEKDAYS] [[YEAR-]MONTH-DAY] [HOUR:MINUTE[:SECOND]] [UTC]
 *
 * as systemd.time(7) has it under CALENDAR EVENTS: "Mon..Fri 08:00", "*-*-1,15 12:30", "*:0/10",
 * "Mon *-05~07/1" (the last Monday of May), "@1800000000", and the shorthands minutely, hourly, daily, weekly,
 * monthly, quarterly, semiannually and yearly.  Times are local unless UTC is said.
 *
 * One thing is ours: behind a shorthand of a day or longer a time may stand, "daily 02:00".  Two things are left
 * to systemd: fractions of a second, and time zones by name.
 */
#ifndef ZN_JOB_CALENDAR_H
#define ZN_JOB_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

#include "zenith.h"

enum { ZN_CALENDAR_YEAR_MIN = 1970, ZN_CALENDAR_YEAR_MAX = 2199 };
#define ZN_CALENDAR_END_S INT64_C(7258118400) /* 2200 begins, in UTC */

/* Each field is a set, bit 0 for the least that may be in it: Monday, 1970, January, the 1st, 00:00:00. */
struct zn_calendar {
	uint64_t weekdays;
	uint64_t years[4], months, days;
	uint64_t hours, minutes, seconds;
	bool days_from_end;            /* bit 0 of days is the last of the month */
	bool is_utc;
};

/* -EINVAL, and what is wrong with which part. */
int zn_calendar_parse(const char *text, struct zn_calendar *ret, struct zn_err *err);

/* The first time later than after_s, a whole second; both are since the epoch, before which nothing is found.
 * false: there is none up to the end of ZN_CALENDAR_YEAR_MAX, or after_s is not a number.
 * A local time that the clock leaps over is left out.  One that it shows twice counts when it is first shown, and
 * when it is shown again only if after_s lies between the two.  A ms or two at worst.
 */
bool zn_calendar_next(const struct zn_calendar *c, double after_s, double *ret_s);

#endif
