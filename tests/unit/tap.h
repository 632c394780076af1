/* tap: what unit tests print for prove.  No plan ahead: count as you go, tap_done() at the end of main. */
#ifndef ZN_TESTS_TAP_H
#define ZN_TESTS_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static int tap_count, tap_failed;

static inline bool tap_ok(bool good, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline bool tap_ok(bool good, const char *fmt, ...)
{
	va_list ap;

	tap_failed += !good;
	printf("%s %d - ", good ? "ok" : "not ok", ++tap_count);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	return good;
}

/* As many rounds as usual, or ZENITH_TEST_TIMES times that: scripts/check-props. */
static inline unsigned tap_rounds(unsigned usual)
{
	const char *times = getenv("ZENITH_TEST_TIMES");
	unsigned long n = times ? strtoul(times, NULL, 10) : 1;

	return usual * (unsigned)(n ? n : 1);
}

/* Prints the plan; main returns this. */
static inline int tap_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed != 0;
}

#endif
