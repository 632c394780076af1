/* Numbers are what strtod says they are: each bit, where they end, and what is none. */
#include <locale.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "tap.h"

enum { RANDOM = 1000000 };

static const char *const texts[] = {
	"", "0", "-0", "+0", "00", "1", "-1", "+1", "007", "12345", ".", ".5", "5.", "0.1", "1.5", "00.50", "1..2", "1.2.3", "-.5", "+5.",
	"0.3", "2.675", "1.005", "0.000001", "8.41", "123456.789", "4.35", "0.1e1", "1e5", "1E5", "1e", "1e+", "1e22", "1e23", "1e308", "1e309",
	"1e-308", "5e-324", "2e-324", "1e-400", "inf", "-inf", "infinity", "nan", "nan(1)", "NaN", "0x10", "0x1p3", "0x", "x",
	"9007199254740992", "9007199254740993", "9007199254740991", "9007199254740994", "900719925474099.2", "900719925474099.3",
	"0.9007199254740993", "999999999999999", "1000000000000000", "9999999999999999", "9999999999999999999", "10000000000000000000",
	"18446744073709551615", "18446744073709551616", "18446744073709551617", "99999999999999999999999", "0000000000000000001",
	"00000000000000000001", "0.0000000000000000001", "0.000000000000000001", "0.00000000000000000000000001", "36893488147419103233",
	"1.7976931348623157", "2.2250738585072014e-308", " 1", "\t1", "1 ", "1,5", "1,", "1x", "1.x", "1.5x", "--1", "+-1", "1-", "1+1",
	"١", "1'000", "1_000", "0b1", "1.5.", "1.e5", ".e5", "e5", "1f", "1.5f", "1d",
};

static bool is_same(const char *text)
{
	char *end = NULL, *expected_end = NULL;
	double v = zn_strtod(text, &end), expected = strtod(text, &expected_end), alone = zn_strtod(text, NULL);

	return end == expected_end && !memcmp(&v, &expected, sizeof(v)) && !memcmp(&alone, &expected, sizeof(v));
}

static void check_table(const char *where)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		tap_ok(is_same(texts[i]), "%s: '%s'", where, texts[i]);
}

static uint64_t draw(void)
{
	static uint64_t s = 88172645463325252u; /* xorshift64 (Marsaglia, 2003) */

	s ^= s << 13;
	s ^= s >> 7;
	return s ^= s << 17;
}

/* Digits, as many as there may be and more, with a point anywhere; now and then with something else among them. */
static void make(char *to)
{
	static const char others[] = "..eE+-xX, 0pn";
	size_t n = draw() % 24, point = draw() % 32, other = draw() % 80;

	for (size_t i = 0; i < n; i++)
		to[i] = i == point ? '.' : i == other ? others[draw() % (sizeof(others) - 1)] : (char)('0' + draw() % 10);
	to[n] = '\0';
}

static void check_random(const char *where)
{
	char text[32], wrong[32] = "";

	for (int i = 0; i < RANDOM; i++) {
		make(text);
		if (!is_same(text))
			strcpy(wrong, text);
	}
	tap_ok(!*wrong, "%s: a million random texts%s%s", where, *wrong ? ", not " : "", wrong);
}

/* Halves of the last digit that a double has: where it matters how often was rounded. */
static void check_halves(void)
{
	char text[64], wrong[64] = "";

	for (int i = 0; i < RANDOM; i++) {
		uint64_t v = draw() >> 11, power = draw() % 17;
		snprintf(text, sizeof(text), "%.*f", (int)power, (double)v / (double)(1 + draw() % 1000000));
		if (!is_same(text))
			strcpy(wrong, text);
	}
	tap_ok(!*wrong, "a million quotients%s%s", *wrong ? ", not " : "", wrong);
}

static void check_locale(void)
{
	static const char *const names[] = { "de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8", "nl_NL.UTF-8" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (setlocale(LC_NUMERIC, names[i])) {
			check_table(names[i]);
			setlocale(LC_NUMERIC, "C");
			return;
		}
	tap_ok(true, "where the decimal sign is a comma # SKIP no such locale");
}

int main(void)
{
	check_table("C");
	check_random("C");
	check_halves();
	check_locale();
	return tap_done();
}
