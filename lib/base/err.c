#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "zenith.h"

const char *zn_version(void)
{
	return ZN_VERSION;
}

/* A culprit may come from a hostile record: nothing in it may reach a terminal that could steer it. */
static void copy_printable(char *to, size_t size, const char *from)
{
	size_t n = 0, left = strlen(from);
	bool safe;

	for (size_t k; left; from += k, left -= k) {
		k = zn_text_step(from, left, &safe);
		if (n + (safe ? k : 4 * k) + 4 > size) {
			memcpy(to + n, "...", 3);
			n += 3;
			break;
		}
		if (safe)
			memcpy(to + n, from, k);
		for (size_t i = 0; !safe && i < k; i++)
			sprintf(to + n + 4 * i, "\\x%02x", (unsigned char)from[i]);
		n += safe ? k : 4 * k;
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
