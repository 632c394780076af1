/* Where one process should run.  Every narrowing that was not asked for is a clause of one sentence:
 * "asked for cpus 0-7, got 0-1: 4-7 do not exist, 2-3 are not allowed here".
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "plan/cpus.h"
#include "plan/deal.h"
#include "plan/near.h"
#include "plan/plan.h"

enum { LIST_TEXT = 64 };

static const char *const policies[] = {
	[ZN_MEM_DEFAULT] = "default", [ZN_MEM_BIND] = "bind",
	[ZN_MEM_PREFER] = "prefer", [ZN_MEM_INTERLEAVE] = "interleave",
};

const char *zn_mem_policy_name(enum zn_mem_policy mem)
{
	return policies[mem];
}

/* A list for a sentence; one too long ends in "...". */
static const char *list_text(const struct zn_idset *s, char to[LIST_TEXT])
{
	if (zn_idset_format(s, to, LIST_TEXT) >= LIST_TEXT)
		memcpy(to + LIST_TEXT - 4, "...", 4);
	return to;
}

__attribute__((format(printf, 2, 3)))
static void degrade(struct zn_pin *p, const char *fmt, ...)
{
	size_t n = strlen(p->degraded);
	va_list ap;

	n += (size_t)snprintf(p->degraded + n, sizeof(p->degraded) - n, "%s", n ? "; " : "");
	if (n >= sizeof(p->degraded))
		return;
	va_start(ap, fmt);
	vsnprintf(p->degraded + n, sizeof(p->degraded) - n, fmt, ap);
	va_end(ap);
}

/* ---- devices ---- */

static struct zn_idset all_cpus(const struct zn_facts *f)
{
	struct zn_idset set = { 0 };

	for (size_t i = 0; i < f->n_cpus; i++)
		zn_idset_add(&set, f->cpus[i].cpu);
	return set;
}

static struct zn_idset all_gpus(const struct zn_facts *f)
{
	struct zn_idset set = { 0 };

	for (size_t i = 0; i < f->n_gpus; i++)
		zn_idset_add(&set, f->gpus[i].gpu);
	return set;
}

static struct zn_idset all_numas(const struct zn_facts *f)
{
	struct zn_idset set = { 0 };

	for (size_t i = 0; i < f->n_numas; i++)
		zn_idset_add(&set, f->numas[i].numa);
	return set;
}

static bool is_gpu_named(const struct zn_gpu *g, const char *name, size_t n)
{
	if (g->uuid && strlen(g->uuid) == n && !strncasecmp(g->uuid, name, n))
		return true;
	return zn__is_pci(g->pci, name, n);
}

static int no_gpu(const struct zn_facts *f, const char *name, struct zn_err *err)
{
	struct zn_idset has = all_gpus(f);
	char text[LIST_TEXT];

	if (!f->n_gpus)
		return zn_err_set(err, -ENODEV, "there is no gpu '%s': this machine has none", name);
	return zn_err_set(err, -ENODEV, "there is no gpu '%s': this machine has %s", name, list_text(&has, text));
}

static int add_gpu(const struct zn_facts *f, const char *name, struct zn_idset *gpus, struct zn_err *err)
{
	struct zn_idset numbers, has = all_gpus(f), lacks;
	char text[LIST_TEXT];

	for (size_t i = 0; i < f->n_gpus; i++)
		if (is_gpu_named(&f->gpus[i], name, strlen(name))) {
			zn_idset_add(gpus, f->gpus[i].gpu);
			return 0;
		}
	if (!isdigit((unsigned char)*name) || strchr(name, ':'))
		return *name ? no_gpu(f, name, err) : zn_err_set(err, -EINVAL, "an empty word names no gpu");
	int rc = zn_idset_parse(name, &numbers, err);
	if (rc < 0)
		return rc;
	lacks = zn_idset_minus(&numbers, &has);
	if (!zn_idset_is_empty(&lacks))
		return no_gpu(f, list_text(&lacks, text), err);
	*gpus = zn_idset_or(gpus, &numbers);
	return 0;
}

int zn_pin_parse_gpus(const struct zn_facts *f, const char *text, struct zn_idset *gpus, struct zn_err *err)
{
	struct zn_idset set = *gpus;
	char word[128];

	for (const char *p = text;; p++) {
		size_t n = strcspn(p, ",");
		if (n >= sizeof(word))
			return zn_err_set(err, -EINVAL, "'%s' names no gpu", text);
		memcpy(word, p, n);
		word[n] = '\0';
		int rc = add_gpu(f, word, &set, err);
		if (rc < 0)
			return rc;
		p += n;
		if (!*p)
			break;
	}
	*gpus = set;
	return 0;
}

static int check(const struct zn_facts *f, const struct zn_pin_ask *ask, struct zn_err *err)
{
	struct zn_idset gpus = all_gpus(f), numas = all_numas(f), cpus = all_cpus(f);
	struct zn_idset lacks = zn_idset_minus(&ask->gpus, &gpus), some = zn_idset_and(&ask->cpus, &cpus);
	char text[LIST_TEXT], has[LIST_TEXT];

	if (!zn_idset_is_empty(&lacks))
		return no_gpu(f, list_text(&lacks, text), err);
	lacks = zn_idset_minus(&ask->numas, &numas);
	if (!zn_idset_is_empty(&lacks))
		return zn_err_set(err, -ENODEV, "there is no numa node %s: this machine has %s",
		                  list_text(&lacks, text), list_text(&numas, has));
	for (size_t i = 0; i < ask->nics.n; i++)
		if (!zn_facts_nic(f, ask->nics.v[i]))
			return zn_err_set(err, -ENODEV, "there is no network device '%s'", ask->nics.v[i]);
	if (!zn_idset_is_empty(&ask->cpus) && zn_idset_is_empty(&some))
		return zn_err_set(err, -ENODEV, "there is no cpu %s: this machine has %s",
		                  list_text(&ask->cpus, text), list_text(&cpus, has));
	return 0;
}

/* ---- places ---- */

struct places {
	struct zn_idset cpus, numas;
	bool unknown;  /* of some device nobody knows where it is */
};

static void add_place(const struct zn_facts *f, struct zn_ou64 numa, const char *cpu_list, struct places *to)
{
	struct zn_idset set = { 0 };

	if (numa.has && numa.v < ZN_IDSET_MAX) {
		zn_idset_add(&to->numas, (unsigned)numa.v);
		set = zn_facts_numa_cpus(f, (uint32_t)numa.v);
	}
	if (zn_idset_is_empty(&set) && cpu_list && zn_idset_parse(cpu_list, &set, NULL) < 0)
		set = (struct zn_idset){ 0 };
	if (zn_idset_is_empty(&set)) {
		set = all_cpus(f);
		to->unknown = f->n_numas > 1;
	}
	to->cpus = zn_idset_or(&to->cpus, &set);
}

static struct places device_places(const struct zn_facts *f, const struct zn_pin_ask *ask)
{
	struct places at = { 0 };

	zn_idset_each(id, &ask->gpus) {
		const struct zn_gpu *g = zn_facts_gpu(f, (uint32_t)id);
		add_place(f, g->numa, g->cpus, &at);
	}
	for (size_t i = 0; i < ask->nics.n; i++) {
		const struct zn_nic *nic = zn_facts_nic(f, ask->nics.v[i]);
		add_place(f, nic->numa, nic->cpus, &at);
	}
	return at;
}

static bool has_devices(const struct zn_pin_ask *ask)
{
	return !zn_idset_is_empty(&ask->gpus) || ask->nics.n;
}

/* " next to gpu 0 and mlx5_0 on numa node 1" */
static void describe(const struct zn_pin_ask *ask, char *to, size_t size)
{
	char text[LIST_TEXT];
	size_t n = 0;

	to[0] = '\0';
	if (!zn_idset_is_empty(&ask->gpus))
		n += (size_t)snprintf(to, size, " next to gpu %s", list_text(&ask->gpus, text));
	for (size_t i = 0; i < ask->nics.n && n < size; i++)
		n += (size_t)snprintf(to + n, size - n, "%s%s", n ? " and " : " next to ", ask->nics.v[i]);
	if (!zn_idset_is_empty(&ask->numas) && n < size)
		snprintf(to + n, size - n, " on numa node %s", list_text(&ask->numas, text));
}

/* All that the words of the ask mean, whether it exists or is allowed or not. */
static struct zn_idset meant_cpus(const struct zn_facts *f, const struct zn_pin_ask *ask, struct places *at)
{
	struct zn_idset numa_cpus = { 0 }, set;

	*at = device_places(f, ask);
	set = has_devices(ask) ? at->cpus : all_cpus(f);
	zn_idset_each(numa, &ask->numas) {
		struct zn_idset more = zn_facts_numa_cpus(f, (uint32_t)numa);
		numa_cpus = zn_idset_or(&numa_cpus, &more);
	}
	if (!zn_idset_is_empty(&ask->numas))
		set = zn_idset_and(&set, &numa_cpus);
	if (zn_idset_is_empty(&ask->cpus))
		return set;
	if (has_devices(ask) || !zn_idset_is_empty(&ask->numas))
		return zn_idset_and(&set, &ask->cpus);
	return ask->cpus;
}

static const char *is_or_are(const struct zn_idset *s)
{
	return zn_idset_count(s) == 1 ? "is" : "are";
}

static void say_narrowed(const struct zn_facts *f, const struct zn_pin_ask *ask, const struct zn_idset *meant,
                         struct zn_pin *p)
{
	const struct zn_idset *asked = zn_idset_is_empty(&ask->cpus) ? meant : &ask->cpus;
	struct zn_idset all = all_cpus(f), missing = zn_idset_minus(asked, &all);
	struct zn_idset there = zn_idset_and(meant, &all), refused = zn_idset_minus(&there, &p->cpus);
	char what[160], a[LIST_TEXT], b[LIST_TEXT], c[LIST_TEXT], d[LIST_TEXT], not_there[100] = "", not_ours[100] = "";

	if (zn_idset_is_empty(&missing) && zn_idset_is_empty(&refused))
		return;
	describe(ask, what, sizeof(what));
	if (!zn_idset_is_empty(&missing))
		snprintf(not_there, sizeof(not_there), "%s %s not exist", list_text(&missing, c),
		         zn_idset_count(&missing) == 1 ? "does" : "do");
	if (!zn_idset_is_empty(&refused))
		snprintf(not_ours, sizeof(not_ours), "%s %s not allowed here", list_text(&refused, d),
		         is_or_are(&refused));
	degrade(p, "asked for cpus %s%s, got %s: %s%s%s", list_text(asked, a), what, list_text(&p->cpus, b),
	        not_there, *not_there && *not_ours ? ", " : "", not_ours);
}

static int choose_cpus(const struct zn_facts *f, const struct zn_pin_ask *ask, const struct zn_idset *allowed,
                       struct zn_pin *p, struct places *at, struct zn_err *err)
{
	struct zn_idset meant = meant_cpus(f, ask, at), all = all_cpus(f);
	char what[160], a[LIST_TEXT], b[LIST_TEXT];

	describe(ask, what, sizeof(what));
	if (zn_idset_is_empty(&meant) && !zn_idset_is_empty(&ask->cpus))
		return zn_err_set(err, -ENOSPC, "none of cpus %s is%s", list_text(&ask->cpus, a), what);
	if (zn_idset_is_empty(&meant))
		return zn_err_set(err, -ENOSPC, "there is no cpu%s", what);
	p->cpus = zn_idset_and(&meant, &all);
	p->cpus = zn_idset_and(&p->cpus, allowed);
	if (zn_idset_is_empty(&p->cpus))
		return zn_err_set(err, -ENOSPC, "none of cpus %s%s is allowed here, only %s", list_text(&meant, a),
		                  what, list_text(allowed, b));
	if (at->unknown)
		degrade(p, "where every device hangs is not known, so any cpu will do");
	say_narrowed(f, ask, &meant, p);
	return 0;
}

/* ---- cores ---- */

/* A list of CPUs is taken in its order; places are taken in turn, so that each gets its part. */
static struct zn_idset first_cores(const struct zn__cpus *c, const struct zn_pin_ask *ask, struct zn_idset left)
{
	bool in_turn = zn_idset_is_empty(&ask->cpus);
	struct zn_idset got = { 0 };
	uint64_t want = ask->cores.v;
	int first;

	while (want && (first = zn_idset_next(&left, 0)) >= 0) {
		if (!in_turn) {
			want -= zn__cpus_take_core(c, &left, c->node[first], &got);
			continue;
		}
		for (unsigned node = 0; node < c->n_nodes && want; node++)
			want -= zn__cpus_take_core(c, &left, node, &got);
		if (want)
			want -= zn__cpus_take_core(c, &left, ZN__NOWHERE, &got);
	}
	return got;
}

static void limit_cores(const struct zn__cpus *c, const struct zn_pin_ask *ask, struct zn_pin *p)
{
	unsigned cores;

	if (!ask->cores.has)
		return;
	cores = zn__cpus_cores(c, &p->cpus);
	if (ask->cores.v > cores)
		degrade(p, "asked for %llu cores, got %u", (unsigned long long)ask->cores.v, cores);
	else
		p->cpus = first_cores(c, ask, p->cpus);
}

/* ---- memory ---- */

static void choose_numas(const struct zn_facts *f, const struct zn__cpus *c, const struct zn_pin_ask *ask,
                         const struct places *at, const struct zn_idset *allowed, struct zn_pin *p)
{
	struct zn_idset none = { 0 }, meant = zn__numas_of(f, c, &p->cpus, &none), refused;
	char a[LIST_TEXT], b[LIST_TEXT], d[LIST_TEXT];
	const char *why = f->machine.mock ? "only a mock" : "not allowed here";

	if (ask->mem != ZN_MEM_DEFAULT && !zn_idset_is_empty(&at->numas))
		meant = at->numas;
	if (!zn_idset_is_empty(&ask->numas))
		meant = ask->numas;
	p->mem = ask->mem;
	p->numas = meant;
	if (ask->mem == ZN_MEM_DEFAULT)
		return;
	p->numas = zn_idset_and(&meant, allowed);
	refused = zn_idset_minus(&meant, allowed);
	if (zn_idset_is_empty(&meant)) {
		p->mem = ZN_MEM_DEFAULT;
		degrade(p, "asked for memory policy %s, left it to the kernel: no numa node is known",
		        policies[ask->mem]);
	} else if (zn_idset_is_empty(&p->numas)) {
		p->mem = ZN_MEM_DEFAULT;
		degrade(p, "asked for memory policy %s on numa node %s, left it to the kernel: %s %s %s",
		        policies[ask->mem], list_text(&meant, a), list_text(&refused, d), is_or_are(&refused), why);
	} else if (!zn_idset_is_empty(&refused)) {
		degrade(p, "asked for memory policy %s on numa node %s, got %s: %s %s %s", policies[ask->mem],
		        list_text(&meant, a), list_text(&p->numas, b), list_text(&refused, d),
		        is_or_are(&refused), why);
	}
}

int zn_pin_make(const struct zn_facts *f, const struct zn_pin_ask *ask, const struct zn_idset *allowed_cpus,
                const struct zn_idset *allowed_numas, struct zn_pin *ret, struct zn_err *err)
{
	struct zn_pin p = { .gpus = ask->gpus };
	struct places at;
	struct zn__cpus c;

	int rc = check(f, ask, err);
	if (rc == 0)
		rc = choose_cpus(f, ask, allowed_cpus, &p, &at, err);
	if (rc < 0)
		return rc;
	zn__cpus_make(&c, f, &p.cpus);
	limit_cores(&c, ask, &p);
	p.cores = zn__cpus_cores(&c, &p.cpus);
	choose_numas(f, &c, ask, &at, allowed_numas, &p);
	*ret = p;
	return 0;
}

/* ---- spread ---- */

static struct zn_pin part_of(const struct zn_facts *f, const struct zn__cpus *c, const struct zn_pin *whole,
                             uint32_t i, uint32_t n)
{
	struct zn__share share = zn__deal(f, &whole->gpus, &whole->cpus, true, i, n);
	struct zn_pin p = *whole;
	struct zn_idset none = { 0 }, numas;

	p.cpus = share.cpus;
	p.gpus = share.gpus;
	p.cores = zn__cpus_cores(c, &p.cpus);
	numas = zn__numas_of(f, c, &p.cpus, &none);
	numas = zn_idset_and(&numas, &whole->numas);
	if (!zn_idset_is_empty(&numas))
		p.numas = numas;
	return p;
}

int zn_pin_spread(const struct zn_facts *f, const struct zn_pin *whole, uint32_t n, struct zn_pin *ret,
                  struct zn_err *err)
{
	unsigned cpus = zn_idset_count(&whole->cpus), cores, gpus = zn_idset_count(&whole->gpus);
	struct zn__cpus c;

	if (!n)
		return zn_err_set(err, -EINVAL, "0 parts are none");
	if (n > cpus)
		return zn_err_set(err, -ENOSPC, "%u parts need %u cpus; there %s %u", n, n, cpus == 1 ? "is" : "are",
		                  cpus);
	zn__cpus_make(&c, f, &whole->cpus);
	cores = zn__cpus_cores(&c, &whole->cpus);
	for (uint32_t i = 0; i < n; i++) {
		ret[i] = part_of(f, &c, whole, i, n);
		if (n > cores)
			degrade(&ret[i], "asked for %u parts, got only %u cores: some share one", n, cores);
		if (gpus && zn_idset_is_empty(&ret[i].gpus))
			degrade(&ret[i], "asked for %u parts, got only %u gpus: none is left for this one", n, gpus);
	}
	return 0;
}
