#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rec/expr.h"
#include "rec/regex.h"
#include "tap.h"

static const char record[] =
	"{\"kind\":\"job\",\"id\":7,\"name\":\"train\",\"x\":0,\"neg\":-5,\"f\":2.5,\"yes\":true,\"no\":false,\"nil\":null,"
	"\"empty\":\"\",\"list\":[],\"map\":{},\"big\":9223372036854775807,\"mem_bytes\":5242880,\"limit_s\":300.0,"
	"\"submit_s\":1700000000.25,\"resources\":{\"gpus\":4},\"alloc\":[{\"node\":\"n1\",\"gpus\":[0,1]},"
	"{\"node\":\"n2\",\"gpus\":[2]}],\"a.b\":1,\"version\":\"10G\"}";

static const struct { const char *text; int answer; } answers[] = {
	{ "id", 1 }, { "x", 0 }, { "neg", 1 }, { "yes", 1 }, { "no", 0 }, { "nil", 0 }, { "empty", 0 }, { "list", 0 },
	{ "map", 0 }, { "alloc", 1 }, { "resources", 1 }, { "absent", 0 }, { "!absent", 1 }, { "!!id", 1 }, { "truely", 0 },
	{ "id == 7", 1 }, { "id==7", 1 }, { "id != 7", 0 }, { "id < 8", 1 }, { "id <= 7", 1 }, { "id > 7", 0 }, { "id >= 7.0", 1 },
	{ "neg == -5", 1 }, { "neg < 0", 1 }, { "f == 2.5", 1 }, { "f > 2", 1 }, { "f == 25e-1", 1 },
	{ "big == 9223372036854775807", 1 }, { "big == 9223372036854775806", 0 }, { "big < 18446744073709551615", 1 },
	{ "mem_bytes == 5M", 1 }, { "mem_bytes == 5m", 1 }, { "mem_bytes >= 5MiB", 1 }, { "mem_bytes < 1G", 1 },
	{ "limit_s == 5m", 1 }, { "limit_s == 00:05:00", 1 }, { "limit_s < 1h30m", 1 }, { "limit_s == 5M", 0 },
	{ "submit_s > '2023-11-14'", 1 }, { "submit_s < '2023-11-14T22:13:20Z'", 0 }, { "submit_s < '2023-11-14T22:13:21Z'", 1 },
	{ "name == 'train'", 1 }, { "name == \"train\"", 1 }, { "name != 'x'", 1 }, { "name < 'trait'", 1 }, { "name > 'trai'", 1 },
	{ "name == 'trai'", 0 }, { "empty == ''", 1 }, { "version == 10G", 0 }, { "version != 10G", 1 }, { "name > 5", 0 }, { "version == '10G'", 1 },
	{ "name ~ '^tr'", 1 }, { "name ~ 'ain$'", 1 }, { "name ~ '^(a|t).*n$'", 1 }, { "name ~ 'T'", 0 }, { "id ~ '7'", 0 },
	{ "yes == true", 1 }, { "no == false", 1 }, { "yes != true", 0 }, { "yes == 1", 0 }, { "id == 'x'", 0 }, { "id != 'x'", 1 },
	{ "absent == 1", 0 }, { "absent != 1", 0 }, { "absent < 1", 0 }, { "nil == 0", 0 }, { "nil != 0", 0 }, { "!(absent == 1)", 1 },
	{ "resources.gpus == 4", 1 }, { "resources.cpus == 4", 0 }, { "a.b == 1", 1 },
	{ "alloc.node == 'n2'", 1 }, { "alloc.node == 'n3'", 0 }, { "alloc.node != 'n2'", 0 }, { "alloc.node != 'n3'", 1 },
	{ "alloc.1.node == 'n2'", 1 }, { "alloc.2.node == 'n2'", 0 }, { "alloc.0.gpus.1 == 1", 1 }, { "alloc.gpus > 1", 1 },
	{ "alloc.99999999999 == 1", 0 }, { "list == 1", 0 }, { "list != 1", 1 },
	{ "id == 7 && name == 'x'", 0 }, { "id == 7 || name == 'x'", 1 }, { "id == 1 || x || f", 1 },
	{ "id == 1 || id == 7 && f", 1 }, { "(id == 1 || id == 7) && x", 0 }, { "x && id || id", 1 }, { "!x && !no", 1 },
	{ "!(x || no)", 1 }, { "( ( ( id ) ) )", 1 }, { " id\t==\n7 ", 1 },
};

static const struct { const char *text, *sentence; } refused[] = {
	{ "", "a key is missing at column 1 of ''" },
	{ "  ", "a key is missing at column 3" },
	{ "id =", "a single '=', write '==' at column 4" },
	{ "id ==", "a value is missing at column 6" },
	{ "id == RUNNING", "text must stand in quotes at column 7" },
	{ "id == ==", "a value is missing at column 7" },
	{ "id == 'x", "a quote that is not closed at column 7" },
	{ "id == 1x", "neither a number, a size nor a duration at column 7" },
	{ "id == --1", "neither a number" },
	{ "id == 1 2", "'&&', '||' or the end is missing at column 9" },
	{ "id & x", "'&&', '||' or the end is missing at column 4" },
	{ "id &&", "a key is missing at column 6" },
	{ "|| id", "a key is missing at column 1" },
	{ "(id", "')' is missing at column 4" },
	{ "id)", "'&&', '||' or the end is missing at column 3" },
	{ "()", "a key is missing at column 2" },
	{ "!", "a key is missing at column 2" },
	{ "true", "a key is missing at column 1" },
	{ "false == x", "a key is missing at column 1" },
	{ "5 == id", "a key is missing at column 1" },
	{ "'x' == id", "a key is missing at column 1" },
	{ "id ~ 7", "~ needs a regular expression in quotes at column 6" },
	{ "id ~ '('", "bad regular expression '(' at column 6: " },
	{ "id ~ 'a{99999}'", "bad regular expression" },
	{ "b ~ '^x+++++++++++++++++++$'", "bad regular expression '^x+++++++++++++++++++$' at column 5: its repetitions inside" },
	{ "b ~ '((((((((((((((((((x+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)'", "bad regular expression" },
	{ "b ~ '^x+***************************$'", "bad regular expression" },
	{ "b ~ '(a{1,200}){1,200}{1,200}'", "bad regular expression" },
};

static const struct { const char *regex; double cost; } costs[] = {
	{ "", 0 }, { "abc", 3 }, { "a+", 2 }, { "a++", 8 }, { "a*++", 16 }, { "a*?", 2 }, { "a?b?", 2 }, { "(a*b)*", 6 }, { "(ab)+", 6 }, { "a{3}", 3 }, { "a{2,}", 3 }, { "a{,7}", 7 },
	{ "a{3,7}b", 8 }, { "[]a+]+", 2 }, { "[^]{9}]", 1 }, { "[[:alpha:]+]x", 2 }, { "\\+\\+", 2 }, { "a|b", 3 }, { "((a+)+)+", 52 },
	{ "{", 1 }, { "a{x}", 4 }, { "[", 1 }, { "[[:", 1 }, { "\\", 1 }, { "((", 0 }, { ")", 1 },
};

static void test_costs(void)
{
	char deep[200];

	for (size_t i = 0; i < sizeof(costs) / sizeof(*costs); i++) {
		double got = zn_regex_cost(costs[i].regex);
		if (!tap_ok(got == costs[i].cost, "'%s' costs %g", costs[i].regex, costs[i].cost))
			printf("# %g\n", got);
	}
	memset(deep, '(', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	tap_ok(zn_regex_cost(deep) < 0, "groups inside each other end somewhere");
}

int main(void)
{
	struct zn_arena a = { 0 }, scratch = { 0 };
	struct zn_buf b = { 0 };
	msgpack_object map;
	struct zn_expr *e;
	struct zn_err err;
	char deep[400];

	setenv("TZ", "UTC", 1);
	if (!tap_ok(zn_json_to_msgpack(record, strlen(record), 0, &b, &err) == 0 &&
	            zn_val_unpack(b.data, b.len, 0, &a, &map, &err) == 0, "the record"))
		return tap_done();
	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		err.text[0] = '\0';
		e = NULL;
		int rc = zn_expr_parse(answers[i].text, &e, &err);
		tap_ok(rc == 0 && zn_expr_match(e, &map, &scratch) == answers[i].answer, "case %zu is %s %s", i,
		       answers[i].answer ? "yes" : "no", err.text);
		zn_expr_free(e);
		zn_arena_reset(&scratch);
	}
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		e = NULL;
		int rc = zn_expr_parse(refused[i].text, &e, &err);
		tap_ok(rc == -EINVAL && !e && !strncmp(err.text, refused[i].sentence, strlen(refused[i].sentence)),
		       "refused: %s", err.text);
	}
	memset(deep, '(', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	tap_ok(zn_expr_parse(deep, &e, &err) == -EINVAL && strstr(err.text, "nesting that is too deep at column 65"),
	       "%s", err.text);
	memset(deep, '!', 64);
	strcpy(deep + 64, "id");
	tap_ok(zn_expr_parse(deep, &e, &err) == 0 && zn_expr_match(e, &map, &scratch) == 1, "64 levels are taken");
	zn_expr_free(e);
	zn_buf_done(&b);
	zn_arena_done(&a);
	zn_arena_done(&scratch);
	test_costs();
	return tap_done();
}
