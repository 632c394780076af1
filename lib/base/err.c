#include <stdio.h>
#include <string.h>

#include "zenith.h"

const char *zn_version(void)
{
	return ZN_VERSION;
}

/* A culprit may come from a hostile record: no control byte of it may reach a terminal. */
static void copy_printable(char *to, size_t size, const char *from)
{
	size_t n = 0;

	for (; *from; from++) {
		unsigned char c = (unsigned char)*from;
		int plain = c >= 0x20 && c != 0x7f;

		if (n + (plain ? 1 : 4) + 4 > size) {
			memcpy(to + n, "...", 3);
			n += 3;
			break;
		}
		if (plain)
			to[n++] = (char)c;
		else
			n += (size_t)sprintf(to + n, "\\x%02x", c);
	}
	to[n] = '\0';
}

int zn_err_set(struct zn_err *err, int rc, const char *fmt, ...)
{
	char raw[1024];
	va_list ap;

	if (!err)
		return rc;
	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	copy_printable(err->text, sizeof(err->text), raw);
	return rc;
}
