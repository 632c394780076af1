/* A reservation: what of two is the same, and which jobs may start in one. */
#include <string.h>

#include "job/booking.h"
#include "tap.h"

static const char *n1[] = { "n1" }, *n12[] = { "n1", "n2" }, *n23[] = { "n2", "n3" }, *ann[] = { "ann", "bob" }, *lab[] = { "lab" };
static uint32_t low[] = { 0, 1 }, mid[] = { 1, 2 }, high[] = { 2, 3 };

#define LIST(v) { v, sizeof(v) / sizeof(*(v)) }
#define FROM(from, until) .name = "x", .by = "ann", .from_s = from, .until_s = until

static const struct { const char *title; struct zn_booking a, b; const char *node; } pairs[] = {
	{ "one after the other", { FROM(10, 20), .nodes = LIST(n1) }, { FROM(20, 30), .nodes = LIST(n1) }, NULL },
	{ "at the same time", { FROM(10, 20), .nodes = LIST(n1) }, { FROM(19, 30), .nodes = LIST(n1) }, "n1" },
	{ "one within the other", { FROM(10, 40), .nodes = LIST(n1) }, { FROM(20, 30), .nodes = LIST(n1) }, "n1" },
	{ "of other nodes", { FROM(10, 20), .nodes = LIST(n1) }, { FROM(10, 20), .nodes = LIST(n23) }, NULL },
	{ "of one node in common", { FROM(10, 20), .nodes = LIST(n12) }, { FROM(10, 20), .nodes = LIST(n23) }, "n2" },
	{ "of other GPUs", { FROM(10, 20), .nodes = LIST(n1), .gpus = LIST(low) }, { FROM(10, 20), .nodes = LIST(n1), .gpus = LIST(high) }, NULL },
	{ "of one GPU in common", { FROM(10, 20), .nodes = LIST(n1), .gpus = LIST(mid) }, { FROM(10, 20), .nodes = LIST(n1), .gpus = LIST(high) }, "n1" },
	{ "of GPUs, and of all", { FROM(10, 20), .nodes = LIST(n1), .gpus = LIST(low) }, { FROM(10, 20), .nodes = LIST(n1) }, "n1" },
};

static const struct { const char *title; struct zn_booking b; const char *user, *account; double limit_s, from_s; bool may; } jobs[] = {
	{ "one of its users", { FROM(100, 200), .users = LIST(ann) }, "bob", NULL, 50, 100, true },
	{ "another user", { FROM(100, 200), .users = LIST(ann) }, "kim", NULL, 50, 100, false },
	{ "one of its account", { FROM(100, 200), .accounts = LIST(lab) }, "kim", "lab", 50, 100, true },
	{ "one of no account", { FROM(100, 200), .accounts = LIST(lab) }, "kim", NULL, 50, 100, false },
	{ "a user of it, and no account", { FROM(100, 200), .users = LIST(ann), .accounts = LIST(lab) }, "ann", NULL, 50, 100, false },
	{ "its account, and no user of it", { FROM(100, 200), .users = LIST(ann), .accounts = LIST(lab) }, "kim", "lab", 50, 100, false },
	{ "a user of it, and its account", { FROM(100, 200), .users = LIST(ann), .accounts = LIST(lab) }, "ann", "lab", 50, 100, true },
	{ "one without a time limit", { FROM(100, 200), .users = LIST(ann) }, "ann", NULL, 0, 100, false },
	{ "one as long as it", { FROM(100, 200), .users = LIST(ann) }, "ann", NULL, 100, 0, false },
	{ "one that leaves a second to start", { FROM(100, 200), .users = LIST(ann) }, "ann", NULL, 99, 0, true },
	{ "one that starts as it begins", { FROM(100, 200), .users = LIST(ann) }, "ann", NULL, 100, 100, true },
	{ "one that is longer", { FROM(100, 200), .users = LIST(ann) }, "ann", NULL, 101, 0, false },
	{ "one in time", { FROM(100, 200), .users = LIST(ann) }, "ann", NULL, 50, 150, true },
	{ "one too late", { FROM(100, 200), .users = LIST(ann) }, "ann", NULL, 50, 151, false },
};

int main(void)
{
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		const char *ab = zn_booking_collides(&pairs[i].a, &pairs[i].b), *ba = zn_booking_collides(&pairs[i].b, &pairs[i].a);
		const char *node = pairs[i].node;
		tap_ok(node ? ab && ba && !strcmp(ab, node) && !strcmp(ba, node) : !ab && !ba, "two %s: %s", pairs[i].title, node ? node : "nothing is the same");
	}
	for (size_t i = 0; i < sizeof(jobs) / sizeof(*jobs); i++) {
		const struct zn_booking_ask ask = { "x", jobs[i].user, jobs[i].account, jobs[i].limit_s };
		struct zn_arena a = { 0 };
		const char *never = zn_booking_never(&jobs[i].b, &ask, jobs[i].from_s, &a);
		tap_ok(zn_booking_may(&jobs[i].b, &ask, jobs[i].from_s) == jobs[i].may && !never == jobs[i].may, "%s may%s", jobs[i].title, jobs[i].may ? "" : " not");
		zn_arena_done(&a);
	}
	return tap_done();
}
