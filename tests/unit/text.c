#include <stdlib.h>
#include <string.h>

#include "base/ascii.h"
#include "base/text.h"
#include "tap.h"
#include "zenith.h"

#define BYTES(s) s, sizeof(s) - 1

static const struct { const char *p; size_t n; bool good; size_t width; const char *shown; } texts[] = {
	{ BYTES(""), true, 0, "" },
	{ BYTES("plain text"), true, 10, "plain text" },
	{ BYTES("h\xc3\xa4\xc3\x9flich"), true, 7, "h\xc3\xa4\xc3\x9flich" },
	{ BYTES("\xe6\x97\xa5\xe6\x9c\xac"), true, 4, "\xe6\x97\xa5\xe6\x9c\xac" },
	{ BYTES("\xf0\x9f\x98\x80"), true, 2, "\xf0\x9f\x98\x80" },
	{ BYTES("e\xcc\x81"), true, 1, "e\xcc\x81" },
	{ BYTES("\x7f"), true, 1, "\\x7f" },
	{ BYTES("a\x1b[31m\n"), true, 7, "a\\x1b[31m\\x0a" },
	{ BYTES("a\0b"), true, 3, "a\\x00b" },
	{ BYTES("\xc2\x9b"), true, 1, "\\xc2\\x9b" },
	{ BYTES("\xc2\xa0"), true, 1, "\xc2\xa0" },
	{ BYTES("\xe2\x80\xae"), true, 1, "\\xe2\\x80\\xae" },
	{ BYTES("\xe2\x81\xa6"), true, 1, "\\xe2\\x81\\xa6" },
	{ BYTES("\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf"), true, 3, NULL },
	{ BYTES("\x80"), false, 1, "\\x80" },
	{ BYTES("\xc0\x80"), false, 2, "\\xc0\\x80" },
	{ BYTES("\xc1\xbf"), false, 2, "\\xc1\\xbf" },
	{ BYTES("\xe0\x80\x80"), false, 3, "\\xe0\\x80\\x80" },
	{ BYTES("\xe0\x9f\xbf"), false, 3, NULL },
	{ BYTES("\xed\xa0\x80"), false, 3, NULL },
	{ BYTES("\xf0\x80\x80\x80"), false, 4, NULL },
	{ BYTES("\xf4\x90\x80\x80"), false, 4, NULL },
	{ BYTES("\xf5\x80\x80\x80"), false, 4, NULL },
	{ BYTES("\xff"), false, 1, "\\xff" },
	{ BYTES("12345678\xc3"), false, 9, "12345678\\xc3" },
	{ BYTES("\xe2\x82"), false, 2, "\\xe2\\x82" },
	{ BYTES("\xc3x"), false, 2, "\\xc3x" },
	{ BYTES("0123456789abcdef\xc3\xa4" "0123456789abcdef"), true, 33, NULL },
};

static void check_utf8(void)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct zn_buf b = { 0 };
		/* An exact copy, so that a sanitizer sees a read behind the end. */
		char *copy = memcpy(malloc(texts[i].n + 1), texts[i].p, texts[i].n);
		char *exact = realloc(copy, texts[i].n ? texts[i].n : 1);
		size_t width = zn_text_width(exact, texts[i].n);
		zn_text_escape(exact, texts[i].n, &b);
		tap_ok(zn_is_utf8(exact, texts[i].n) == texts[i].good, "text %zu is %sUTF-8", i, texts[i].good ? "" : "no ");
		tap_ok(width == texts[i].width, "text %zu is %zu wide", i, width);
		tap_ok(!texts[i].shown || !strcmp(zn_buf_text(&b), texts[i].shown), "text %zu is shown as %s", i, zn_buf_text(&b));
		zn_buf_done(&b);
		free(exact);
	}
}

static void check_fit(void)
{
	static const char text[] = "a\xe6\x97\xa5\xc3\xa4";

	tap_ok(zn_text_fit(text, 6, 0) == 0 && zn_text_fit(text, 6, 1) == 1 && zn_text_fit(text, 6, 2) == 1 &&
	       zn_text_fit(text, 6, 3) == 4 && zn_text_fit(text, 6, 4) == 6 && zn_text_fit(text, 6, 99) == 6,
	       "a wide character fits whole or not at all");
}

static const struct { const char *text; bool good; const char *raw; size_t n; } codes[] = {
	{ "", true, BYTES("") }, { "Zg==", true, BYTES("f") }, { "Zm8=", true, BYTES("fo") }, { "Zm9v", true, BYTES("foo") },
	{ "Zm9vYg==", true, BYTES("foob") }, { "Zm9vYmE=", true, BYTES("fooba") }, { "Zm9vYmFy", true, BYTES("foobar") },
	{ "+/+/", true, BYTES("\xfb\xff\xbf") }, { "AAAA", true, BYTES("\0\0\0") },
	{ "Z", false, NULL, 0 }, { "Zg", false, NULL, 0 }, { "Zg=", false, NULL, 0 }, { "Z===", false, NULL, 0 },
	{ "====", false, NULL, 0 }, { "Zh==", false, NULL, 0 }, { "Zm9=", false, NULL, 0 }, { "Zg==Zg==", false, NULL, 0 },
	{ "Zm9vZg=x", false, NULL, 0 }, { "Zm9v\n", false, NULL, 0 }, { "Zm 9", false, NULL, 0 }, { "-_-_", false, NULL, 0 },
	{ "=g==", false, NULL, 0 }, { "Zm9vZm9?", false, NULL, 0 },
};

static void check_base64(void)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
		struct zn_buf raw = { 0 }, text = { 0 };
		zn_buf_addstr(&raw, "before");
		bool good = zn_base64_decode(codes[i].text, strlen(codes[i].text), &raw) == codes[i].good;
		good = good && raw.len == 6 + (codes[i].good ? codes[i].n : 0) &&
		       (!codes[i].good || !memcmp(raw.data + 6, codes[i].raw, codes[i].n));
		if (codes[i].good)
			zn_base64_encode(codes[i].raw, codes[i].n, &text);
		tap_ok(good && (!codes[i].good || !strcmp(zn_buf_text(&text), codes[i].text)), "base64 %zu", i);
		zn_buf_done(&raw);
		zn_buf_done(&text);
	}
	unsigned char all[256], x = 1;
	bool good = true;
	for (size_t n = 0; n < 256; n++) {
		struct zn_buf text = { 0 }, raw = { 0 };
		all[n] = x = (unsigned char)(x * 5 + 3);
		zn_base64_encode(all, n, &text);
		good &= zn_base64_decode(text.len ? text.data : "", text.len, &raw) && raw.len == n &&
		        (!n || !memcmp(raw.data, all, n));
		zn_buf_done(&text);
		zn_buf_done(&raw);
	}
	tap_ok(good, "every length comes back");
}

static void check_err(void)
{
	struct zn_err err;
	char full[1000];

	zn_err_set(&err, -1, "name '%s' is bad", "a\n\x1b[2J\x9b\xc2\x9b\xc3\xa4");
	tap_ok(!strcmp(err.text, "name 'a\\x0a\\x1b[2J\\x9b\\xc2\\x9b\xc3\xa4' is bad"), "%s", err.text);
	bool good = zn_err_set(NULL, -5, "x") == -5;
	for (size_t n = 0; n < sizeof(full) - 4; n++) {
		memset(full, 'x', n);
		strcpy(full + n, "\xc3\xa4\n");
		zn_err_set(&err, -1, "%s", full);
		size_t len = strlen(err.text);
		good &= len < sizeof(err.text) && zn_is_utf8(err.text, len);
		good &= n < 310 ? strncmp(err.text, full, n + 2) == 0 : n < 320 || !strcmp(err.text + len - 3, "...");
	}
	tap_ok(good, "a sentence of every length fits, cut between characters");
}

/* Every byte at every place of texts up to 20 bytes, beside what a byte by byte look says. */
static void test_ascii(void)
{
	bool ascii = true, printable = true;
	char text[20];

	for (size_t n = 0; n <= sizeof(text); n++)
		for (size_t at = 0; at < (n ? n : 1); at++)
			for (unsigned b = 0; b < 256; b++) {
				memset(text, at % 2 ? '~' : ' ', sizeof(text));
				text[at] = (char)b;
				ascii &= zn_is_ascii(text, n) == (!n || (b >= 0x01 && b <= 0x7f));
				printable &= zn_is_printable(text, n) == (!n || (b >= ' ' && b <= '~'));
			}
	tap_ok(ascii, "a byte that is NUL or no ASCII is found wherever it is");
	tap_ok(printable, "and so is one that can't be printed");
	tap_ok(!zn_is_ascii("\0\x80", 2) && !zn_is_ascii("\x80\0", 2) && !zn_is_printable("\x1f\xff\x7f ", 4),
	       "two of them do not hide each other");
}

int main(void)
{
	test_ascii();
	check_utf8();
	check_fit();
	check_base64();
	check_err();
	return tap_done();
}
