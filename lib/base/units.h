/* units: how a person writes a number, a size, a duration or a moment, and how we write it back. */
#ifndef ZN_BASE_UNITS_H
#define ZN_BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

#include "zenith.h"

/* Whole decimal numbers, nothing before or behind; -EINVAL, -ERANGE outside lo..hi. */
int zn_parse_u64(const char *text, uint64_t lo, uint64_t hi, uint64_t *ret, struct zn_err *err);
int zn_parse_i64(const char *text, int64_t lo, int64_t hi, int64_t *ret, struct zn_err *err);
/* A finite number; NaN and infinities are -EINVAL. */
int zn_parse_f64(const char *text, double *ret, struct zn_err *err);
/* "512", "64K", "1.5G", "2TiB", "100MB": K M G T P are powers of 1024, as in Slurm and systemd;
 * "B", "iB" behind them change nothing.  No sign.
 */
int zn_parse_bytes(const char *text, uint64_t *ret, struct zn_err *err);
/* Seconds: "90", "1.5h", "2h30m", "1d", "500ms", or clock style "MM:SS", "HH:MM:SS", "D-HH:MM:SS". */
int zn_parse_duration(const char *text, double *ret_s, struct zn_err *err);
/* Seconds since the epoch: "@1700000000", "now+2h", "+30m", "HH:MM[:SS]" (the next one),
 * "YYYY-MM-DD[THH:MM[:SS]]" or with a blank for the T, local time unless "Z" follows.
 */
int zn_parse_time(const char *text, double now_s, double *ret_s, struct zn_err *err);
/* The same of the end of what begins at from_s: "HH:MM[:SS]" is the first one after that. */
int zn_parse_until(const char *text, double from_s, double now_s, double *ret_s, struct zn_err *err);

/* Text for people; each writes a NUL and returns to. */
enum { ZN_UNIT_TEXT = 40 };
char *zn_format_bytes(uint64_t bytes, char to[ZN_UNIT_TEXT]);   /* "80.0G", "512", "1.5T" */
char *zn_format_duration(double s, char to[ZN_UNIT_TEXT]);      /* "0.25s", "42s", "3m12s", "2h05m", "4d03h" */
char *zn_format_time(double epoch_s, char to[ZN_UNIT_TEXT]);    /* "2026-11-22 14:03:05", local */

#endif
