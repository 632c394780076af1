#include "job/booking.h"

#include <errno.h>
#include <string.h>

#include "base/units.h"
#include "job/spec.h"

#define B struct zn_booking
static const struct zn_field fields[] = {
	ZN_FIELD(B, name, STR, "RESERVATION", "its name"),
	ZN_FIELD(B, from_s, TIME, "FROM", "when it begins"),
	ZN_FIELD(B, until_s, TIME, "UNTIL", "when it ends"),
	ZN_FIELD(B, users, STRS, "USERS", "whose jobs may use it; absent: anybody's who is of its accounts"),
	ZN_FIELD(B, accounts, STRS, "ACCOUNTS", "of which accounts; absent: of any"),
	ZN_FIELD(B, nodes, STRS, "NODES", "what is reserved"),
	ZN_FIELD(B, gpus, U32S, "GPUS", "of each of the nodes only these GPUs, by their indices; absent: all that it has"),
	ZN_FIELD(B, by, STR, "BY", "who made it"),
	{ 0 },
};
const struct zn_kind zn_booking_kind = { "reservation", "nodes, or GPUs of them, that are some users' for a while", fields, sizeof(B), NULL };

static bool has(const struct zn_strs *list, const char *name)
{
	for (size_t i = 0; i < list->n; i++)
		if (name && !strcmp(list->v[i], name))
			return true;
	return false;
}

static int check_list(const char *what, const struct zn_strs *list, struct zn_err *err)
{
	int rc = 0;

	if (list->n > ZN_BOOKING_LIST_MAX)
		return zn_err_set(err, -EBADMSG, "a reservation has at most %d of each, not %zu", ZN_BOOKING_LIST_MAX, list->n);
	for (size_t i = 0; rc == 0 && i < list->n; i++) {
		rc = zn_spec_check_name(what, list->v[i], err);
		for (size_t k = 0; rc == 0 && k < i; k++)
			if (!strcmp(list->v[i], list->v[k]))
				rc = zn_err_set(err, -EBADMSG, "%s '%s' is named twice", what, list->v[i]);
	}
	return rc;
}

static int check_times(const B *b, double now_s, struct zn_err *err)
{
	if (!(b->from_s >= now_s && b->from_s <= now_s + ZN_SPEC_SECONDS_MAX))
		return zn_err_set(err, -EBADMSG, "from when on it is reserved must be in the future");
	if (!(b->until_s > b->from_s && b->until_s <= now_s + ZN_SPEC_SECONDS_MAX))
		return zn_err_set(err, -EBADMSG, "it can't be reserved until a time before it is");
	return 0;
}

int zn_booking_check(const B *b, double now_s, struct zn_err *err)
{
	int rc = b->name ? zn_spec_check_name("reservation", b->name, err) : zn_err_set(err, -EBADMSG, "a reservation has no name");

	if (rc == 0 && !b->users.n && !b->accounts.n)
		rc = zn_err_set(err, -EBADMSG, "whom is reservation '%s' for: name users, or accounts", b->name);
	if (rc == 0)
		rc = check_list("user", &b->users, err);
	if (rc == 0)
		rc = check_list("account", &b->accounts, err);
	if (rc == 0)
		rc = check_list("node", &b->nodes, err);
	return rc < 0 ? rc : check_times(b, now_s, err);
}

static bool share_gpus(const struct zn_u32s *a, const struct zn_u32s *b)
{
	for (size_t i = 0; i < a->n; i++)
		for (size_t k = 0; k < b->n; k++)
			if (a->v[i] == b->v[k])
				return true;
	return !a->n || !b->n;
}

const char *zn_booking_collides(const B *a, const B *b)
{
	if (a->from_s >= b->until_s || b->from_s >= a->until_s || !share_gpus(&a->gpus, &b->gpus))
		return NULL;
	for (size_t i = 0; i < a->nodes.n; i++)
		if (has(&b->nodes, a->nodes.v[i]))
			return a->nodes.v[i];
	return NULL;
}

static bool admits(const B *b, const struct zn_booking_ask *ask)
{
	return (!b->users.n || has(&b->users, ask->user)) && (!b->accounts.n || has(&b->accounts, ask->account));
}

/* Nothing starts the moment that it may. */
static bool is_in_time(const B *b, const struct zn_booking_ask *ask, double from_s)
{
	static const double to_start_s = 1;
	double first_s = from_s < b->from_s ? b->from_s + to_start_s : from_s;

	return first_s + ask->limit_s <= b->until_s;
}

bool zn_booking_may(const B *b, const struct zn_booking_ask *ask, double from_s)
{
	return b && admits(b, ask) && ask->limit_s > 0 && is_in_time(b, ask, from_s);
}

const char *zn_booking_never(const B *b, const struct zn_booking_ask *ask, double from_s, struct zn_arena *a)
{
	char time[ZN_UNIT_TEXT];

	if (!b)
		return zn_arena_printf(a, "there is no reservation '%s'", ask->name);
	if (!admits(b, ask))
		return zn_arena_printf(a, "reservation '%s' is for others: zn-queue reservations says for whom", b->name);
	if (ask->limit_s <= 0)
		return zn_arena_printf(a, "in reservation '%s' a job needs a time limit: give it one with --time", b->name);
	if (!is_in_time(b, ask, from_s))
		return zn_arena_printf(a, "by its time limit it would not be over when reservation '%s' ends, %s", b->name,
		                       zn_format_time(b->until_s, time));
	return NULL;
}

const char *zn_booking_not_now(const B *b, const struct zn_booking_ask *ask, double now_s, struct zn_arena *a)
{
	const char *never = zn_booking_never(b, ask, now_s, a);
	char time[ZN_UNIT_TEXT];

	if (never || b->from_s <= now_s)
		return never;
	return zn_arena_printf(a, "reservation '%s' begins %s", b->name, zn_format_time(b->from_s, time));
}
