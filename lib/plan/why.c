/* Why not, and what smaller request would start now.  The smaller request is not argued, it is planned: what
 * is printed is known to fit.
 */
#include "plan/why.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/units.h"
#include "plan/links.h"
#include "plan/part.h"

uint64_t zn__ask_cpus(const struct zn_ask *ask, const struct zn__room *room)
{
	uint32_t tasks = ask->tasks ? ask->tasks : 1;

	if (ask->cpus.has)
		return ask->cpus.v;
	if (ask->gpus)
		return 0;
	return tasks < room->cpus ? tasks : room->cpus;
}

static bool has_nvlinked(const struct zn_facts *f, const struct zn_idset *gpus, uint32_t n)
{
	struct zn__links links;
	struct zn_idset set;

	zn__links_make(&links, f, gpus);
	return zn__links_choose(&links, n, true, &set);
}

static bool asks_part(const struct zn_ask *ask)
{
	return ask->gpus && ask->part.milli;
}

/* "0.25" */
static const char *part_text(uint32_t milli, char *to, size_t size)
{
	snprintf(to, size, "%g", milli / (double)ZN_PART_WHOLE);
	return to;
}

static bool needs_nvlink(const struct zn_ask *ask)
{
	return ask->nvlink_required && ask->gpus > 1;
}

__attribute__((format(printf, 3, 4)))
static void add_reason(struct zn_why *why, uint32_t count, const char *fmt, ...)
{
	struct zn_why_reason *r = &why->reasons[why->n++];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->text, sizeof(r->text), fmt, ap);
	va_end(ap);
	r->count = count;
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

/* "1 of 8 is free" */
static const char *free_of(unsigned n_free, unsigned n, char *to, size_t size)
{
	if (n_free)
		snprintf(to, size, "%u of %u %s free", n_free, n, n_free == 1 ? "is" : "are");
	else
		snprintf(to, size, "none of %u is free", n);
	return to;
}

static const char *per_task(const struct zn_ask *ask)
{
	return ask->cpus.has ? "" : ", one per task";
}

static void add_part_never(const struct zn_facts *f, const struct zn_ask *ask, const struct zn__room *room,
                           struct zn_why *why)
{
	uint64_t most = zn__part_mem_max(f);
	char part[16], need[ZN_UNIT_TEXT], has[ZN_UNIT_TEXT];

	if (!room->gpus)
		add_reason(why, 0, "needs %s of a gpu; the machine has none", part_text(ask->part.milli, part, sizeof(part)));
	else if (ask->part.mem_bytes > most && most)
		add_reason(why, room->gpus, "needs %s of one gpu's memory; the largest has %s",
		           zn_format_bytes(ask->part.mem_bytes, need), zn_format_bytes(most, has));
	else if (ask->part.mem_bytes > most)
		add_reason(why, room->gpus, "needs %s of one gpu's memory; of no gpu here is known how much it has",
		           zn_format_bytes(ask->part.mem_bytes, need));
}

/* What no patience would cure. */
static void add_never(const struct zn_facts *f, const struct zn_ask *ask, const struct zn__room *room,
                      struct zn_why *why)
{
	uint64_t cpus = zn__ask_cpus(ask, room);
	struct zn_free idle = zn_plan_idle(f);
	char need[ZN_UNIT_TEXT], has[ZN_UNIT_TEXT];

	if (asks_part(ask))
		add_part_never(f, ask, room, why);
	else if (ask->gpus > room->gpus)
		add_reason(why, room->gpus, room->gpus ? "needs %u gpu%s; the machine has %u"
		                                       : "needs %u gpu%s; the machine has none",
		           ask->gpus, plural(ask->gpus), room->gpus);
	else if (needs_nvlink(ask) && !has_nvlinked(f, &idle.gpus, ask->gpus))
		add_reason(why, room->gpus, "needs %u gpus linked by nvlink; no %u of the machine's %u are",
		           ask->gpus, ask->gpus, room->gpus);
	if (ask->near && !zn_facts_has_device(f, ask->near))
		add_reason(why, 1, "needs to be near '%s'; the machine has no such device", ask->near);
	if (!room->cpus)
		add_reason(why, 0, "no cpu of the machine may be used");
	else if (cpus > room->cpus)
		add_reason(why, room->cpus, "needs %llu cpu%s%s; the machine has %u", (unsigned long long)cpus,
		           plural(cpus), per_task(ask), room->cpus);
	if (ask->mem_bytes > room->mem_bytes)
		add_reason(why, 1, "needs %s of memory; the machine has %s",
		           zn_format_bytes(ask->mem_bytes, need), zn_format_bytes(room->mem_bytes, has));
}

static void add_part_busy(const struct zn_facts *f, const struct zn_free *free, const struct zn_ask *ask,
                          const struct zn__room *room, struct zn_why *why)
{
	struct zn__part_left most = zn__part_most(f, free, &ask->part);
	char part[16], has_part[16], need[ZN_UNIT_TEXT], has[ZN_UNIT_TEXT];

	part_text(ask->part.milli, part, sizeof(part));
	if (most.gpu < 0)
		add_reason(why, room->gpus, "no gpu has %s left; all of them are taken", part);
	else if (most.milli < ask->part.milli)
		add_reason(why, room->gpus, "no gpu has %s left; the most is %s on gpu %d", part,
		           part_text(most.milli, has_part, sizeof(has_part)), most.gpu);
	else if (most.mem_bytes < ask->part.mem_bytes)
		add_reason(why, room->gpus, "no gpu with %s left has %s of memory left; the most is %s on gpu %d", part,
		           zn_format_bytes(ask->part.mem_bytes, need), zn_format_bytes(most.mem_bytes, has), most.gpu);
	else
		return;
	if (most.others_gpu >= 0)
		add_reason(why, 1, "gpu %d has enough left, but the jobs on it are another user's", most.others_gpu);
}

static void add_busy(const struct zn_facts *f, const struct zn_free *free, const struct zn_ask *ask, const struct zn__room *room,
                     struct zn_why *why)
{
	uint64_t cpus = zn__ask_cpus(ask, room);
	char text[64], need[ZN_UNIT_TEXT], has[ZN_UNIT_TEXT], all[ZN_UNIT_TEXT];

	if (asks_part(ask))
		add_part_busy(f, free, ask, room, why);
	else if (ask->gpus > room->gpus_free)
		add_reason(why, room->gpus - room->gpus_free, "needs %u gpu%s; %s", ask->gpus,
		           plural(ask->gpus), free_of(room->gpus_free, room->gpus, text, sizeof(text)));
	else if (needs_nvlink(ask) && !has_nvlinked(f, &room->gpus_free_set, ask->gpus))
		add_reason(why, room->gpus_free, "needs %u gpus linked by nvlink; no %u of the %u free ones are",
		           ask->gpus, ask->gpus, room->gpus_free);
	if (cpus > room->cpus_free)
		add_reason(why, room->cpus - room->cpus_free, "needs %llu cpu%s%s; %s",
		           (unsigned long long)cpus, plural(cpus), per_task(ask),
		           free_of(room->cpus_free, room->cpus, text, sizeof(text)));
	if (ask->mem_bytes > room->mem_free_bytes)
		add_reason(why, 1, "needs %s of memory; %s of %s is free",
		           zn_format_bytes(ask->mem_bytes, need), zn_format_bytes(room->mem_free_bytes, has),
		           zn_format_bytes(room->mem_bytes, all));
}

/* ---- the smallest change ---- */

/* Up to five parts of "with A, B and C". */
struct parts { char text[5][48]; unsigned n; };

__attribute__((format(printf, 2, 3)))
static void add_part(struct parts *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->text[p->n++], sizeof(p->text[0]), fmt, ap);
	va_end(ap);
}

static void shrink_gpus(const struct zn_facts *f, const struct zn__room *room, struct zn_ask *ask,
                        struct parts *p)
{
	uint32_t asked = ask->gpus;

	if (ask->gpus > room->gpus_free)
		ask->gpus = room->gpus_free;
	if (needs_nvlink(ask) && !has_nvlinked(f, &room->gpus_free_set, ask->gpus)) {
		if (ask->gpus == asked) {
			ask->nvlink_required = false;
			add_part(p, "without requiring nvlink");
			return;
		}
		while (ask->gpus > 1 && !has_nvlinked(f, &room->gpus_free_set, ask->gpus))
			ask->gpus--;
	}
	if (ask->gpus != asked)
		add_part(p, "with %u gpu%s", ask->gpus, plural(ask->gpus));
}

/* Down to what a person would type: whole G, or M below 10G. */
static uint64_t round_bytes(uint64_t bytes, char *to, size_t size)
{
	unsigned shift = bytes >= UINT64_C(10) << 30 ? 30 : 20;

	snprintf(to, size, "%llu%c", (unsigned long long)(bytes >> shift), shift == 30 ? 'G' : 'M');
	return bytes >> shift << shift;
}

/* To what the GPU with the most has left. */
static void shrink_part(const struct zn_facts *f, const struct zn_free *free, struct zn_ask *ask, struct parts *p)
{
	struct zn__part_left most = zn__part_most(f, free, &ask->part);
	char text[ZN_UNIT_TEXT];

	if (most.gpu >= 0 && most.milli < ask->part.milli) {
		ask->part.milli = most.milli;
		add_part(p, "with %s of a gpu", part_text(most.milli, text, sizeof(text)));
	}
	if (most.gpu >= 0 && most.mem_bytes < ask->part.mem_bytes) {
		ask->part.mem_bytes = round_bytes(most.mem_bytes, text, sizeof(text));
		add_part(p, "with %s of a gpu's memory", text);
	}
}

static void shrink_rest(const struct zn_facts *f, const struct zn__room *room, struct zn_ask *ask, struct parts *p)
{
	char text[ZN_UNIT_TEXT];

	if (ask->near && !zn_facts_has_device(f, ask->near)) {
		ask->near = NULL;
		add_part(p, "without --near");
	}
	if (zn__ask_cpus(ask, room) > room->cpus_free) {
		ask->cpus = ZN_SOME_U64(room->cpus_free);
		add_part(p, "with %u cpu%s", room->cpus_free, plural(room->cpus_free));
	}
	if (ask->mem_bytes > room->mem_free_bytes) {
		ask->mem_bytes = round_bytes(room->mem_free_bytes, text, sizeof(text));
		add_part(p, "with %s of memory", text);
	}
}

static bool lost_all(const struct zn_ask *ask, const struct zn_ask *less)
{
	bool shared = ask->cpus.has && !ask->cpus.v;

	return (ask->gpus && !less->gpus) || (ask->part.mem_bytes && !less->part.mem_bytes) || (ask->mem_bytes && !less->mem_bytes) ||
	       (less->cpus.has && !less->cpus.v && !shared);
}

static void say_smallest(const struct zn_facts *f, const struct zn_free *free, const struct zn_ask *ask,
                         const struct zn__room *room, struct zn_why *why)
{
	struct zn_ask less = *ask;
	struct parts p = { .n = 0 };
	struct zn_plan plan;
	size_t n = 0;

	if (asks_part(ask))
		shrink_part(f, free, &less, &p);
	else
		shrink_gpus(f, room, &less, &p);
	shrink_rest(f, room, &less, &p);
	if (!p.n || lost_all(ask, &less) || zn_plan_make(f, free, &less, &plan, NULL) < 0)
		return;
	for (unsigned i = 0; i < p.n; i++)
		n += (size_t)snprintf(why->smallest + n, sizeof(why->smallest) - n, "%s%s",
		                      !i ? "" : i + 1 < p.n ? ", " : " and ", p.text[i]);
	snprintf(why->smallest + n, sizeof(why->smallest) - n, " it would start now");
}

int zn__why_fill(const struct zn_facts *f, const struct zn_free *free, const struct zn_ask *ask,
                 const struct zn__room *room, struct zn_why *why)
{
	struct zn_why own, *w = why ? why : &own;
	bool never;

	w->n = 0;
	w->smallest[0] = '\0';
	add_never(f, ask, room, w);
	never = w->n;
	if (why && !never)
		add_busy(f, free, ask, room, w);
	if (why)
		say_smallest(f, free, ask, room, w);
	return never ? -EINVAL : -EAGAIN;
}
