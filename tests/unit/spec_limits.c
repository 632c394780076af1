/* spec_limits: a submission that is accepted stays readable with the journal's record around it. */
#include <errno.h>

#include "job/spec.h"
#include "rec/val.h"
#include "tap.h"

static int check(size_t arguments, size_t environment, struct zn_err *err)
{
	struct zn_arena a = { 0 };
	struct zn_spec s = { .command = "x", .directory = "/" };

	s.arguments = (struct zn_strs){ zn_arena_array(&a, arguments, sizeof(char *)), arguments };
	s.environment = (struct zn_strmap){ zn_arena_array(&a, environment, sizeof(struct zn_pair)), environment };
	for (size_t i = 0; i < arguments; i++)
		s.arguments.v[i] = "";
	for (size_t i = 0; i < environment; i++)
		s.environment.v[i] = (struct zn_pair){ "A", "" };
	int rc = zn_spec_check(&s, err);
	zn_arena_done(&a);
	return rc;
}

int main(void)
{
	struct zn_err err = { "" };

	tap_ok(check(ZN_SPEC_ARGUMENTS_MAX, ZN_SPEC_ENVIRONMENT_MAX, &err) == 0, "as many as there may be: %s", err.text);
	tap_ok(check(ZN_SPEC_ARGUMENTS_MAX + 1, 0, &err) == -EBADMSG, "%s", err.text);
	tap_ok(check(0, ZN_SPEC_ENVIRONMENT_MAX + 1, &err) == -EBADMSG, "one variable more");
	tap_ok(ZN_SPEC_ARGUMENTS_MAX + 2 * ZN_SPEC_ENVIRONMENT_MAX + 2 * ZN_ANY_ITEMS_MAX + 10000 < ZN_ITEMS_MAX,
	       "all of it leaves room for what we write around it");
	return tap_done();
}
