#include <errno.h>
#include <string.h>

#include "base/idset.h"
#include "tap.h"

static const struct { const char *text; int rc; const char *list; } lists[] = {
	{ "", 0, "" }, { "\n", 0, "" }, { "0", 0, "0" }, { "0\n", 0, "0" }, { "0-3,8", 0, "0-3,8" },
	{ "8,0-3", 0, "0-3,8" }, { "1,2,3", 0, "1-3" }, { "0-0", 0, "0" }, { "1-3,2-5", 0, "1-5" },
	{ "63-64", 0, "63-64" }, { "2047", 0, "2047" }, { "0-2047", 0, "0-2047" }, { "007", 0, "7" },
	{ "2048", -ERANGE, NULL }, { "0-2048", -ERANGE, NULL }, { "99999999999999999999", -ERANGE, NULL },
	{ "4294967296", -ERANGE, NULL },
	{ ",", -EINVAL, NULL }, { "1,", -EINVAL, NULL }, { ",1", -EINVAL, NULL }, { "1,,2", -EINVAL, NULL },
	{ "1,\n", -EINVAL, NULL }, { "-", -EINVAL, NULL }, { "-1", -EINVAL, NULL }, { "1-", -EINVAL, NULL },
	{ "1--2", -EINVAL, NULL }, { "1-2-3", -EINVAL, NULL }, { "3-1", -EINVAL, NULL }, { "a", -EINVAL, NULL },
	{ "0x3", -EINVAL, NULL }, { "1 ", -EINVAL, NULL }, { " 1", -EINVAL, NULL }, { "1, 2", -EINVAL, NULL },
	{ "1\n2", -EINVAL, NULL }, { "1\nrubbish", -EINVAL, NULL }, { "\n1", -EINVAL, NULL }, { "0-7:2/4", -EINVAL, NULL },
};

static const struct { const char *text; int rc; const char *list; } masks[] = {
	{ "0", 0, "" }, { "1", 0, "0" }, { "f", 0, "0-3" }, { "F0", 0, "4-7" }, { "ff\n", 0, "0-7" },
	{ "ff,00000003", 0, "0-1,32-39" }, { "1,00000000,00000000", 0, "64" }, { "00000000,80000000", 0, "31" },
	{ "8000000000000001", 0, "0,63" },
	{ "", -EINVAL, NULL }, { "\n", -EINVAL, NULL }, { "x", -EINVAL, NULL }, { "0x1", -EINVAL, NULL },
	{ ",", -EINVAL, NULL }, { "1,", -EINVAL, NULL }, { ",00000001", -EINVAL, NULL }, { "1,1", -EINVAL, NULL },
	{ "1,,00000001", -EINVAL, NULL }, { "1\n1", -EINVAL, NULL }, { "-1", -EINVAL, NULL }, { "1 ", -EINVAL, NULL },
};

static void check_texts(void)
{
	char text[64];

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		struct zn_idset s;
		struct zn_err err = { "" };
		memset(&s, 0xee, sizeof(s));
		int rc = zn_idset_parse(lists[i].text, &s, &err);
		bool good = rc == lists[i].rc;
		if (good && rc == 0)
			good = zn_idset_format(&s, text, sizeof(text)) == strlen(text) && !strcmp(text, lists[i].list);
		else
			good = good && *err.text && s.w[0] == 0xeeeeeeeeeeeeeeee;
		tap_ok(good, "list %zu: %d %s", i, rc, rc ? err.text : text);
	}
	for (size_t i = 0; i < sizeof(masks) / sizeof(*masks); i++) {
		struct zn_idset s;
		struct zn_err err = { "" };
		int rc = zn_idset_parse_mask(masks[i].text, &s, &err);
		bool good = rc == masks[i].rc;
		if (good && rc == 0)
			good = zn_idset_format(&s, text, sizeof(text)) == strlen(text) && !strcmp(text, masks[i].list);
		tap_ok(good, "mask %zu: %d %s", i, rc, rc ? err.text : text);
	}
}

static void check_long_mask(void)
{
	char mask[600];
	struct zn_idset s;

	memset(mask, '0', sizeof(mask));
	mask[513] = '\0';
	mask[1] = '8';
	tap_ok(zn_idset_parse_mask(mask, &s, NULL) == 0 && zn_idset_has(&s, 2047) && zn_idset_count(&s) == 1,
	       "the highest bit of a mask, with a zero before it");
	mask[0] = '1';
	tap_ok(zn_idset_parse_mask(mask, &s, NULL) == -ERANGE, "one bit more is too many");
}

static void check_fields(void)
{
	const char *status = "Name:\tCpus_allowed_list:\t5\nCpus_allowed:\tff\nCpus_allowed_list:\t0-3\nMems_allowed_list:\t\nlast:\t7";
	struct zn_idset s = { 0 };

	tap_ok(zn_idset_parse_field(status, "Cpus_allowed_list", &s) == 0 && zn_idset_count(&s) == 4 && zn_idset_has(&s, 0),
	       "the list of a field, which begins a line and is all of its name");
	tap_ok(zn_idset_parse_field(status, "allowed_list", &s) == -ENOENT && zn_idset_count(&s) == 4,
	       "a field that is not there changes nothing");
	tap_ok(zn_idset_parse_field(status, "Cpus_allowed", &s) == -EINVAL, "a field that is no list");
	tap_ok(zn_idset_parse_field(status, "Mems_allowed_list", &s) == 0 && zn_idset_is_empty(&s), "an empty list");
	tap_ok(zn_idset_parse_field(status, "last", &s) == 0 && zn_idset_has(&s, 7), "the last line, without its end");
}

static void check_sets(void)
{
	struct zn_idset a = { 0 }, b = { 0 }, none = { 0 };

	zn_idset_parse("0-3,64-70,2047", &a, NULL);
	zn_idset_parse("2-5,70,100", &b, NULL);
	struct zn_idset both = zn_idset_and(&a, &b), any = zn_idset_or(&a, &b), rest = zn_idset_minus(&a, &b);
	tap_ok(zn_idset_count(&a) == 12 && zn_idset_count(&both) == 3 && zn_idset_count(&any) == 15 &&
	       zn_idset_count(&rest) == 9, "and, or, minus");
	tap_ok(zn_idset_is_within(&both, &a) && zn_idset_is_within(&both, &b) && !zn_idset_is_within(&a, &b) &&
	       zn_idset_is_within(&none, &none), "within");
	tap_ok(zn_idset_is_empty(&none) && !zn_idset_is_empty(&a) && zn_idset_equal(&a, &a) && !zn_idset_equal(&a, &b),
	       "empty, equal");
	struct zn_idset five = zn_idset_first(&a, 5), all = zn_idset_first(&a, 99), zero = zn_idset_first(&a, 0);
	char text[20];
	zn_idset_format(&five, text, sizeof(text));
	tap_ok(!strcmp(text, "0-3,64") && zn_idset_equal(&all, &a) && zn_idset_is_empty(&zero), "the first five");
	zn_idset_add(&none, 5000);
	zn_idset_add(&none, (unsigned)-1);
	tap_ok(zn_idset_is_empty(&none) && !zn_idset_has(&a, 5000) && !zn_idset_has(&a, (unsigned)-1),
	       "ids out of range are nowhere");
	zn_idset_remove(&a, 2047);
	zn_idset_remove(&a, 5000);
	tap_ok(!zn_idset_has(&a, 2047) && zn_idset_next(&a, 71) == -1 && zn_idset_next(&a, 4) == 64 &&
	       zn_idset_next(&a, 9999) == -1, "next");
	int sum = 0;
	zn_idset_each(id, &b)
		sum += id;
	tap_ok(sum == 2 + 3 + 4 + 5 + 70 + 100, "each");
}

/* Cut at every size: a NUL, the length that was wanted, no byte behind. */
static void check_cut(void)
{
	struct zn_idset s;
	char text[32];
	bool good = true;

	zn_idset_parse("0-3,8,10-11,2047", &s, NULL);
	for (size_t size = 0; size <= 16; size++) {
		memset(text, '#', sizeof(text));
		good &= zn_idset_format(&s, text, size) == 16;
		good &= size == 0 || (strlen(text) == size - 1 && !strncmp(text, "0-3,8,10-11,2047", size - 1));
		good &= text[size] == '#';
	}
	tap_ok(good, "a text that does not fit is cut, and its length told");
}

int main(void)
{
	check_texts();
	check_long_mask();
	check_fields();
	check_sets();
	check_cut();
	return tap_done();
}
