/* Parts of GPUs: what is left of each, and which one is broken up.
 *
 * A GPU is whole and free, or one job has it whole, or jobs have parts of it: of one user, unless users may be mixed,
 * and of no more than all of it and of its memory.  A new part goes on that one of these with the least left that still
 * does; only where there is none is a free one broken up, the one that a job with one GPU would get.  Before all that, those
 * count alone that are nearest to the device that is asked for.
 */
#include "plan/part.h"

#include "plan/links.h"
#include "plan/near.h"

uint64_t zn_part_user(const char *name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a: 64 bits are enough that no two users of a machine meet */

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	return h ? h : 1;
}

uint64_t zn__part_mem_max(const struct zn_facts *f)
{
	uint64_t most = 0;

	for (size_t i = 0; i < f->n_gpus; i++)
		most = f->gpus[i].mem_bytes.v > most ? f->gpus[i].mem_bytes.v : most;
	return most;
}

void zn_part_fill_in(struct zn_gpu_part *part, const struct zn_facts *f)
{
	uint64_t of = 0;

	if (part->milli || !part->mem_bytes)
		return;
	for (size_t i = 0; i < f->n_gpus; i++) {
		uint64_t mem = f->gpus[i].mem_bytes.v;
		if (mem >= part->mem_bytes && (!of || mem < of))
			of = mem;
	}
	/* where it never fits, all: then it is the memory that is said to be too little */
	part->milli = of ? (uint32_t)(((__uint128_t)part->mem_bytes * ZN_PART_WHOLE + of - 1) / of) : ZN_PART_WHOLE;
}

/* ---- the books ---------------------------------------------------------------------------------------------- */

static struct zn_gpu_part *part_of(struct zn_free *free, const struct zn_plan *p)
{
	int gpu = p->part.milli ? zn_idset_next(&p->gpus, 0) : -1;

	return gpu >= 0 && gpu < ZN_PART_GPUS ? &free->parts[gpu] : NULL;
}

void zn_free_take_gpus(struct zn_free *free, const struct zn_plan *p)
{
	struct zn_gpu_part *of = part_of(free, p);

	free->gpus = zn_idset_minus(&free->gpus, &p->gpus);
	if (!of)
		return;
	of->milli += p->part.milli;
	of->mem_bytes += p->part.mem_bytes;
	of->user = p->part.user;
}

/* Of what was dropped less may be in the books than comes back. */
void zn_free_give_gpus(struct zn_free *free, const struct zn_plan *p)
{
	struct zn_gpu_part *of = part_of(free, p);

	if (of && of->milli > p->part.milli) {
		of->milli -= p->part.milli;
		of->mem_bytes -= p->part.mem_bytes < of->mem_bytes ? p->part.mem_bytes : of->mem_bytes;
		return;
	}
	if (of)
		*of = (struct zn_gpu_part){ 0 };
	free->gpus = zn_idset_or(&free->gpus, &p->gpus);
}

void zn_free_drop_gpus(struct zn_free *free, const struct zn_idset *gpus)
{
	free->gpus = zn_idset_minus(&free->gpus, gpus);
	for (unsigned i = 0; i < ZN_PART_GPUS; i++)
		if (zn_idset_has(gpus, i))
			free->parts[i] = (struct zn_gpu_part){ 0 };
}

static bool has_any(const struct zn_free *free, unsigned gpu)
{
	return free->parts[gpu].milli || zn_idset_has(&free->gpus, gpu);
}

/* Whether so much of that GPU is free, and for that user. */
static bool has_part(const struct zn_free *free, unsigned gpu, const struct zn_gpu_part *part)
{
	const struct zn_gpu_part *of = &free->parts[gpu];

	return has_any(free, gpu) && of->milli + part->milli <= ZN_PART_WHOLE &&
	       (!of->milli || of->user == part->user || free->mixes_users);
}

void zn_free_hold_gpus(struct zn_free *free, const struct zn_plan *p)
{
	if (part_of(free, p) && has_part(free, (unsigned)zn_idset_next(&p->gpus, 0), &p->part))
		zn_free_take_gpus(free, p);
	else
		zn_free_drop_gpus(free, &p->gpus);
}

static struct zn_gpu_part most_given(const struct zn_gpu_part *a, const struct zn_gpu_part *b)
{
	return (struct zn_gpu_part){ .user = a->milli ? a->user : b->user, .milli = a->milli > b->milli ? a->milli : b->milli,
	                             .mem_bytes = a->mem_bytes > b->mem_bytes ? a->mem_bytes : b->mem_bytes };
}

void zn_free_cut_gpus(struct zn_free *free, const struct zn_free *other)
{
	for (unsigned i = 0; i < ZN_PART_GPUS; i++) {
		struct zn_gpu_part *a = &free->parts[i];
		const struct zn_gpu_part *b = &other->parts[i];
		bool two_users = a->milli && b->milli && a->user != b->user && !free->mixes_users;
		*a = has_any(free, i) && has_any(other, i) && !two_users ? most_given(a, b) : (struct zn_gpu_part){ 0 };
	}
	free->gpus = zn_idset_and(&free->gpus, &other->gpus);
}

uint32_t zn_free_milli_most(const struct zn_free *free)
{
	uint32_t most = 0;
	int whole = zn_idset_next(&free->gpus, 0);

	if (whole >= 0 && whole < ZN_PART_GPUS)
		return ZN_PART_WHOLE;
	for (unsigned i = 0; i < ZN_PART_GPUS; i++)
		if (free->parts[i].milli && ZN_PART_WHOLE - free->parts[i].milli > most)
			most = ZN_PART_WHOLE - free->parts[i].milli;
	return most;
}

/* ---- choosing ----------------------------------------------------------------------------------------------- */

/* What is left of one, whoever has the rest of it. */
static struct zn_gpu_part left_of(const struct zn_gpu *g, const struct zn_free *free)
{
	const struct zn_gpu_part *given = g->gpu < ZN_PART_GPUS ? &free->parts[g->gpu] : NULL;
	struct zn_gpu_part left = { .milli = ZN_PART_WHOLE, .mem_bytes = g->mem_bytes.v };

	if (!given || !has_any(free, g->gpu))
		return (struct zn_gpu_part){ 0 };
	left.milli -= given->milli;
	left.mem_bytes -= given->mem_bytes < left.mem_bytes ? given->mem_bytes : left.mem_bytes;
	left.user = given->user;
	return left;
}

static bool is_enough(const struct zn_gpu_part *left, const struct zn_gpu_part *part)
{
	return left->milli >= part->milli && left->mem_bytes >= part->mem_bytes;
}

static bool is_for(const struct zn_free *free, const struct zn_gpu_part *left, const struct zn_gpu_part *part)
{
	return !left->user || left->user == part->user || free->mixes_users;
}

static bool choose_free(const struct zn_facts *f, const struct zn_idset *gpus, struct zn_idset *ret)
{
	struct zn__links links;

	zn__links_make(&links, f, gpus);
	return zn__links_choose(&links, 1, false, ret);
}

bool zn__part_choose(const struct zn_facts *f, const struct zn_free *free, const struct zn_gpu_part *part, const char *near, struct zn_idset *ret)
{
	uint32_t least = ZN_PART_WHOLE, nearest = UINT32_MAX;
	struct zn_idset whole = { 0 };
	uint8_t steps[ZN_IDSET_MAX];
	int best = -1;

	zn__near_steps(f, near, steps);
	for (size_t i = 0; i < f->wiring->n; i++) {
		struct zn_gpu_part left = left_of(&f->gpus[i], free);
		if (!is_enough(&left, part) || !is_for(free, &left, part) || steps[i] > nearest)
			continue;
		if (steps[i] < nearest) {
			nearest = steps[i];
			least = ZN_PART_WHOLE;
			whole = (struct zn_idset){ 0 };
			best = -1;
		}
		if (!left.user)
			zn_idset_add(&whole, f->gpus[i].gpu);
		if (!left.user || left.milli >= least)
			continue;
		best = (int)f->gpus[i].gpu;
		least = left.milli;
	}
	if (best < 0)
		return choose_free(f, &whole, ret);
	*ret = (struct zn_idset){ 0 };
	zn_idset_add(ret, (unsigned)best);
	return true;
}

struct zn__part_left zn__part_most(const struct zn_facts *f, const struct zn_free *free, const struct zn_gpu_part *part)
{
	struct zn__part_left most = { .gpu = -1, .others_gpu = -1 };

	for (size_t i = 0; i < f->n_gpus; i++) {
		const struct zn_gpu *g = &f->gpus[i];
		struct zn_gpu_part left = left_of(g, free);
		if (!is_for(free, &left, part) && is_enough(&left, part))
			most.others_gpu = (int)g->gpu;
		if (!is_for(free, &left, part) || !left.milli)
			continue;
		bool enough = left.milli >= part->milli, had_enough = most.gpu >= 0 && most.milli >= part->milli;
		if (most.gpu >= 0 && (enough && had_enough ? left.mem_bytes <= most.mem_bytes : left.milli <= most.milli))
			continue;
		most.gpu = (int)g->gpu;
		most.milli = left.milli;
		most.mem_bytes = left.mem_bytes;
	}
	return most;
}
