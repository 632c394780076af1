/* zenith.h: the public C interface of libzenith.a.
 *
 * Conventions, here and in every header below lib/:
 *  - a call returns 0 or more on success and a negative errno on failure; where the number does not
 *    say what to mend, the last parameter (struct zn_err *, may be NULL) gets one sentence;
 *  - on failure nothing has changed: out-parameters are untouched;
 *  - units stand in the name (_bytes, _s, _ns, _mhz, _mw, _c, _pct, _gbps); times are seconds since
 *    the epoch;
 *  - the library never prints, exits or installs a signal handler.
 */
#ifndef ZENITH_H
#define ZENITH_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "MAJOR.MINOR.PATCH" of the library that was linked. */
const char *zn_version(void);

/* ---- errors: one number for the program, one sentence for the person ------------------------- */

/* Fixed storage, owned by the caller; never allocates.  text is "" until something is set. */
struct zn_err {
	char text[320];
};

/* Sets the sentence (lower case, no full stop, culprit in quotes) and returns rc, so that a failure
 * is one line.  err may be NULL.  Bytes that are not printable come out as \xNN; a sentence too
 * long ends in "...".
 */
int zn_err_set(struct zn_err *err, int rc, const char *fmt, ...)
#ifdef __GNUC__
	__attribute__((format(printf, 3, 4)))
#endif
	;

#ifdef __cplusplus
}
#endif
#endif
