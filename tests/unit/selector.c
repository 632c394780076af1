/* Selectors: what is one, and which labels it wants. */
#include <errno.h>
#include <string.h>

#include "rec/selector.h"
#include "tap.h"

static struct zn_pair pairs[] = { { "tier", "gold" }, { "ib", "" }, { "cuda.major", "12" } };
static const struct zn_strmap labels = { pairs, 3 };

static const struct { const char *text, *lacks; } rows[] = {
	{ "tier", NULL }, { "ib", NULL }, { "tier=gold", NULL }, { "cuda.major=12", NULL }, { "!slow", NULL }, { "tier!=silver", NULL },
	{ "slow!=yes", NULL }, { "ib=", NULL }, { "tier,ib,!slow,cuda.major!=11", NULL },
	{ "slow", "slow" }, { "tie", "tie" }, { "tiers", "tiers" }, { "tier=gol", "tier=gol" }, { "tier=golden", "tier=golden" }, { "tier=", "tier=" },
	{ "!ib", "!ib" }, { "tier!=gold", "tier!=gold" }, { "ib,tier=silver,slow", "tier=silver" }, { "TIER", "TIER" }, { "ib=x", "ib=x" },
};

static const char *const bad[] = {
	"", ",", "a,", ",a", "a,,b", "!", "=", "=x", "!=x", "!!a", "!a=b", "a==b", "a=b=c", "a b", "a=b c", "a=!b", "a&b", "é", "a=\x01",
	"1234567890123456789012345678901234567890123456789012345678901234",
};

int main(void)
{
	char text[ZN_SELECTOR_MAX + 4];
	struct zn_err err = { "" };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		size_t n = 0;
		const char *lacks = zn_selector_lacks(rows[i].text, &labels, &n);
		bool good = zn_selector_check(rows[i].text, NULL) == 0 &&
			(rows[i].lacks ? lacks && n == strlen(rows[i].lacks) && !strncmp(lacks, rows[i].lacks, n) : !lacks);
		tap_ok(good, "%s: %s", rows[i].text, rows[i].lacks ? "not these" : "these");
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		tap_ok(zn_selector_check(bad[i], NULL) == -EBADMSG, "'%s' is none", bad[i]);
	memset(text, 'a', sizeof(text));
	for (size_t i = 1; i < sizeof(text); i += 2)
		text[i] = ',';
	text[ZN_SELECTOR_MAX - 1] = '\0';
	tap_ok(zn_selector_check(text, NULL) == 0, "one may be long");
	text[ZN_SELECTOR_MAX - 1] = ',';
	text[ZN_SELECTOR_MAX + 1] = '\0';
	tap_ok(zn_selector_check(text, &err) == -EBADMSG && strstr(err.text, "at most 1024"), "but not longer: %s", err.text);
	return tap_done();
}
