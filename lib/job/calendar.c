/* calendar: how the times at which a job recurs are written.
 *
 * An expression is a product of sets, one for each hand of the clock and the calendar.  Shorthands and what is
 * left out are written out first, so that all that is to be read is a list of numbers for each hand.
 */
#include "job/calendar.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/units.h"

enum { TEXT_MAX = 1000 };

struct hand {
	const char *name;
	unsigned lo, hi;
};

static const struct hand year_hand = { "year", ZN_CALENDAR_YEAR_MIN, ZN_CALENDAR_YEAR_MAX };
static const struct hand month_hand = { "month", 1, 12 };
static const struct hand day_hand = { "day", 1, 31 };
static const struct hand last_day_hand = { "day from the end", 1, 28 }; /* which each month has */
static const struct hand hour_hand = { "hour", 0, 23 };
static const struct hand minute_hand = { "minute", 0, 59 };
static const struct hand second_hand = { "second", 0, 59 };

/* "A", "A..B", "A..B/STEP" or "A/STEP". */
struct span {
	unsigned long first, last, step;
	bool is_open;                  /* "A/STEP": last is not known yet */
};

static bool take_number(const char **p, unsigned long *ret)
{
	char *end;

	if (!isdigit((unsigned char)**p))
		return false;
	*ret = strtoul(*p, &end, 10);
	*p = end;
	return *ret <= INT_MAX;
}

static bool take_behind(const char *mark, const char **p, bool *ret_is_there, unsigned long *ret)
{
	size_t len = strlen(mark);

	*ret_is_there = !strncmp(*p, mark, len);
	if (!*ret_is_there)
		return true;
	*p += len;
	return take_number(p, ret);
}

static bool parse_span(const char *p, struct span *s)
{
	bool is_range, has_step;

	*s = (struct span){ .step = 1 };
	if (!take_number(&p, &s->first))
		return false;
	s->last = s->first;
	if (!take_behind("..", &p, &is_range, &s->last) || !take_behind("/", &p, &has_step, &s->step))
		return false;
	s->is_open = has_step && !is_range;
	return s->step && !*p;
}

/* "A/STEP" goes on to the last there is, and "~A/STEP" to the end of the month, which is 1. */
static bool close_span(struct span *s, const struct hand *hand)
{
	bool is_down = hand == &last_day_hand;
	unsigned long room = is_down ? s->first - hand->lo : hand->hi - s->first;

	if (is_down)
		s->first = hand->lo + room % s->step;
	else
		s->last = hand->hi;
	return s->step <= room;
}

/* Of two digits, as systemd has it. */
static unsigned long full_year(unsigned long year)
{
	return year < 70 ? year + 2000 : year < 100 ? year + 1900 : year;
}

static int bad_value(const struct hand *hand, const char *item, struct zn_err *err)
{
	return zn_err_set(err, -EINVAL, "the %s '%s' is not made of whole numbers from %u to %u, such as 5, 5..7 or 5/2",
	                  hand->name, item, hand->lo, hand->hi);
}

static int add_span(const char *item, const struct hand *hand, uint64_t *set, struct zn_err *err)
{
	struct span s;

	if (!parse_span(item, &s))
		return bad_value(hand, item, err);
	if (hand == &year_hand) {
		s.first = full_year(s.first);
		s.last = full_year(s.last);
	}
	if (s.last < s.first)
		return zn_err_set(err, -EINVAL, "the %s '%s' runs backwards", hand->name, item);
	s.last -= (s.last - s.first) % s.step; /* so the end of a range may lie outside if it isn't met, as for systemd */
	if (s.first < hand->lo || s.last > hand->hi)
		return bad_value(hand, item, err);
	if (s.is_open && !close_span(&s, hand))
		return zn_err_set(err, -EINVAL, "the %s '%s' has no room for a repetition", hand->name, item);
	for (unsigned long v = s.first - hand->lo; v <= s.last - hand->lo; v += s.step)
		set[v / 64] |= UINT64_C(1) << v % 64;
	return 0;
}

static int add_list(char *list, const struct hand *hand, uint64_t *set, struct zn_err *err)
{
	char all[32];
	int rc = 0;

	if (!strcmp(list, "*")) {
		snprintf(all, sizeof(all), "%u..%u", hand->lo, hand->hi);
		list = all;
	}
	for (char *item; rc == 0 && (item = strsep(&list, ","));)
		rc = add_span(item, hand, set, err);
	return rc;
}

/* [YEAR-]MONTH-DAY, or [YEAR-]MONTH~DAY */
static int parse_date(char *word, struct zn_calendar *c, struct zn_err *err)
{
	char every_year[] = "*", *year = every_year, *month = word;
	char *tilde = strchr(word, '~'), *day = tilde ? tilde : strrchr(word, '-');

	if (!day)
		return zn_err_set(err, -EINVAL, "'%s' is neither a date such as *-12-31 nor a time such as 02:00", word);
	*day++ = '\0';
	if (strchr(word, '-'))
		year = strsep(&month, "-");
	c->days_from_end = tilde && strcmp(day, "*") != 0;
	int rc = add_list(year, &year_hand, c->years, err);
	if (rc == 0)
		rc = add_list(month, &month_hand, &c->months, err);
	return rc < 0 ? rc : add_list(day, c->days_from_end ? &last_day_hand : &day_hand, &c->days, err);
}

/* HOUR:MINUTE[:SECOND] */
static int parse_time(char *word, struct zn_calendar *c, struct zn_err *err)
{
	char full[] = "0", *hour = strsep(&word, ":"), *minute = strsep(&word, ":");
	int rc = add_list(hour, &hour_hand, &c->hours, err);

	if (rc == 0)
		rc = add_list(minute, &minute_hand, &c->minutes, err);
	return rc < 0 ? rc : add_list(word ? word : full, &second_hand, &c->seconds, err);
}

/* By three letters or in full; -1: it is none. */
static int weekday_of(const char *name, size_t len)
{
	static const char *const names[] = { "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
	                                     "Sunday" };

	for (int i = 0; i < 7; i++)
		if ((len == 3 || len == strlen(names[i])) && !strncasecmp(name, names[i], len))
			return i;
	return -1;
}

/* "Mon", "Mon..Fri", or as it once was written, "Mon-Fri". */
static int add_weekdays(const char *item, uint64_t *set, struct zn_err *err)
{
	size_t len = strcspn(item, ".-");
	const char *to = item + len + (!strncmp(item + len, "..", 2) ? 2 : item[len] == '-');
	int first = weekday_of(item, len), last = item[len] ? weekday_of(to, strlen(to)) : first;

	if (first < 0 || last < 0)
		return zn_err_set(err, -EINVAL, "'%s' is no weekday such as Mon or Mon..Fri, nor a shorthand such as daily",
		                  item);
	if (last < first)
		return zn_err_set(err, -EINVAL, "the weekdays '%s' run backwards: a week is from Mon to Sun", item);
	for (int i = first; i <= last; i++)
		*set |= UINT64_C(1) << i;
	return 0;
}

static int parse_weekdays(char *word, struct zn_calendar *c, struct zn_err *err)
{
	int rc = 0;

	while (rc == 0 && word && *word) /* nothing need follow the last comma */
		rc = add_weekdays(strsep(&word, ","), &c->weekdays, err);
	return rc;
}

static const char *shorthand(const char *name, size_t len)
{
	static const struct { const char *name, *full; } all[] = {
		{ "minutely", "*:*" }, { "hourly", "*:0" }, { "daily", "*-*" }, { "weekly", "Mon *-*" },
		{ "monthly", "*-1" }, { "quarterly", "1,4,7,10-1" }, { "yearly", "1-1" }, { "annually", "1-1" },
		{ "semiannually", "1,7-1" }, { "semi-annually", "1,7-1" },
		{ "biannually", "1,7-1" }, { "bi-annually", "1,7-1" },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (strlen(all[i].name) == len && !strncasecmp(name, all[i].name, len))
			return all[i].full;
	return NULL;
}

/* A shorthand or a moment is written out, what follows a shorthand stays. */
static int expand(const char *text, char to[TEXT_MAX], struct zn_err *err)
{
	size_t len = strcspn(text, " ");
	const char *full = shorthand(text, len);
	uint64_t s;
	struct tm tm;

	if (*text == '@') {
		if (zn_parse_u64(text + 1, 0, ZN_CALENDAR_END_S - 1, &s, NULL) < 0)
			return zn_err_set(err, -EINVAL, "'%s' is no moment such as @1800000000", text);
		strftime(to, TEXT_MAX, "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&(time_t){ (time_t)s }, &tm));
	} else if (snprintf(to, TEXT_MAX, "%s%s", full ? full : "", full ? text + len : text) >= TEXT_MAX) {
		return zn_err_set(err, -EINVAL, "'%.20s...' is longer than a calendar expression may be", text);
	}
	return 0;
}

/* NULL is behind the last. */
static int parse_words(char **words, struct zn_calendar *c, struct zn_err *err)
{
	char whole_week[] = "Mon..Sun", every_day[] = "*-*", midnight[] = "0:0";
	char *week = isalpha((unsigned char)**words) ? *words++ : whole_week;
	char *date = *words && !isalpha((unsigned char)**words) && !strchr(*words, ':') ? *words++ : every_day;
	char *time = *words && strchr(*words, ':') ? *words++ : midnight;

	if (*words)
		return zn_err_set(err, -EINVAL, "'%s' is out of place: first come weekdays, then a date, then a time, "
		                  "and the only time zone to be named is UTC", *words);
	int rc = parse_weekdays(week, c, err);
	if (rc == 0)
		rc = parse_date(date, c, err);
	return rc < 0 ? rc : parse_time(time, c, err);
}

int zn_calendar_parse(const char *text, struct zn_calendar *ret, struct zn_err *err)
{
	struct zn_calendar c = { 0 };
	char copy[TEXT_MAX], *words[6] = { NULL }, *save;
	int n = 0, rc = expand(text, copy, err);

	if (rc < 0)
		return rc;
	/* the fifth is out of place already */
	for (char *word = strtok_r(copy, " ", &save); word && n < 5; word = strtok_r(NULL, " ", &save))
		words[n++] = word;
	c.is_utc = n > 0 && !strcasecmp(words[n - 1], "UTC");
	if (c.is_utc)
		words[--n] = NULL;
	if (n == 0)
		return zn_err_set(err, -EINVAL, "'%s' has neither weekdays nor a date nor a time", text);
	rc = parse_words(words, &c, err);
	if (rc == 0)
		*ret = c;
	return rc;
}
