#include "base/text.h"

#include <stdint.h>
#include <string.h>

#include "base/ascii.h"

/* Length of the well-formed sequence at p (Unicode 15, table 3-7), 0 if there is none. */
static size_t utf8_step(const unsigned char *p, size_t n)
{
	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	size_t len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (n < len)
		return 0;
	unsigned char lo = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
	unsigned char hi = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
	if (p[1] < lo || p[1] > hi)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

bool zn_is_utf8(const char *p, size_t n)
{
	const unsigned char *s = (const unsigned char *)p;

	while (n) {
		uint64_t eight;
		if (n >= 8 && (memcpy(&eight, s, 8), !(eight & 0x8080808080808080))) {
			s += 8;
			n -= 8;
			continue;
		}
		size_t k = utf8_step(s, n);
		if (!k)
			return false;
		s += k;
		n -= k;
	}
	return true;
}

/* East Asian wide and emoji blocks; enough to keep columns straight without a locale. */
static size_t code_width(uint32_t c)
{
	if ((c >= 0x300 && c <= 0x36f) || c == 0x200b || c == 0x200d || (c >= 0xfe00 && c <= 0xfe0f))
		return 0;
	if ((c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) || (c >= 0xac00 && c <= 0xd7a3) ||
	    (c >= 0xf900 && c <= 0xfaff) || (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) ||
	    (c >= 0x1f300 && c <= 0x1faff) || (c >= 0x20000 && c <= 0x3fffd))
		return 2;
	return 1;
}

/* Bytes at the front that are printable ASCII: one column each, and harmless. */
static size_t plain_run(const char *p, size_t n)
{
	size_t i = 0;

	if (zn_is_printable(p, n))
		return n;
	while (i < n && p[i] >= ' ' && p[i] <= '~')
		i++;
	return i;
}

/* One character, or one byte that is none: its length, code (0 when it is none) and width. */
static size_t take_char(const unsigned char *s, size_t n, uint32_t *ret_code, size_t *ret_width)
{
	static const unsigned char lead[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	size_t k = utf8_step(s, n);
	uint32_t c = k ? s[0] & lead[k] : 0;

	for (size_t i = 1; i < k; i++)
		c = c << 6 | (s[i] & 0x3f);
	*ret_code = c;
	*ret_width = k ? code_width(c) : 1;
	return k ? k : 1;
}

size_t zn_text_width(const char *p, size_t n)
{
	const unsigned char *s = (const unsigned char *)p;
	size_t i = plain_run(p, n), total = i, width;
	uint32_t code;

	for (; i < n; total += width)
		i += take_char(s + i, n - i, &code, &width);
	return total;
}

size_t zn_text_fit(const char *p, size_t n, size_t width)
{
	const unsigned char *s = (const unsigned char *)p;
	size_t used = 0, at = 0, one;
	uint32_t code;

	while (at < n) {
		size_t k = take_char(s + at, n - at, &code, &one);
		if (used + one > width)
			break;
		used += one;
		at += k;
	}
	return at;
}

/* C0, DEL, C1, line and paragraph separators, and what turns the direction of writing. */
static bool is_unsafe(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || (c >= 0x200e && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

size_t zn_text_step(const char *p, size_t n, bool *ret_safe)
{
	uint32_t code;
	size_t width, k = take_char((const unsigned char *)p, n, &code, &width);

	*ret_safe = !is_unsafe(code);
	return k;
}

void zn_text_escape(const char *p, size_t n, struct zn_buf *to)
{
	size_t plain = plain_run(p, n);
	bool safe;

	zn_buf_add(to, p, plain);
	for (size_t i = plain, k; i < n; i += k) {
		k = zn_text_step(p + i, n - i, &safe);
		if (safe)
			zn_buf_add(to, p + i, k);
		else
			for (size_t j = 0; j < k; j++)
				zn_buf_printf(to, "\\x%02x", (unsigned char)p[i + j]);
	}
}

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void zn_base64_encode(const void *p, size_t n, struct zn_buf *to)
{
	const unsigned char *s = p;

	for (; n; s += 3) {
		size_t k = n < 3 ? n : 3;
		uint32_t v = (uint32_t)s[0] << 16 | (uint32_t)(k > 1 ? s[1] : 0) << 8 | (k > 2 ? s[2] : 0);
		char out[4] = { digits[v >> 18], digits[v >> 12 & 63], k > 1 ? digits[v >> 6 & 63] : '=',
		                k > 2 ? digits[v & 63] : '=' };
		zn_buf_add(to, out, 4);
		n -= k;
	}
}

static int digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool zn_base64_decode(const char *text, size_t n, struct zn_buf *to)
{
	size_t was = to->len;

	if (n % 4)
		return false;
	for (size_t i = 0; i < n; i += 4) {
		bool last = i + 4 == n;
		size_t pad = last ? (text[i + 3] == '=') + (text[i + 3] == '=' && text[i + 2] == '=') : 0;
		uint32_t v = 0;
		for (size_t k = 0; k < 4; k++) {
			int d = k >= 4 - pad ? 0 : digit_value(text[i + k]);
			if (d < 0) {
				to->len = was;
				return false;
			}
			v = v << 6 | (uint32_t)d;
		}
		if (v & (pad == 2 ? 0xffff : pad == 1 ? 0xff : 0)) {
			to->len = was; /* bits that no encoder sets: two texts must not mean one value */
			return false;
		}
		char out[3] = { (char)(v >> 16), (char)(v >> 8), (char)v };
		zn_buf_add(to, out, 3 - pad);
	}
	return true;
}

bool zn_text_lists(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; *p;) {
		p += strspn(p, ", \t");
		size_t len = strcspn(p, ", \t");
		if (len && len == n && !strncmp(p, word, n))
			return true;
		p += len;
	}
	return false;
}
