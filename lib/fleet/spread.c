#define HASH_NONFATAL_OOM 1
#include "base/hash.h"
#include "fleet/spread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fleet/node.h"
#include "fleet/shape.h"

/* ---- how much room there is ---------------------------------------------------------------------------------- */

int zn__room_make(struct zn__room *r, const struct zn_fleet *f)
{
	*r = (struct zn__room){ .on = calloc(f->n + 1, sizeof(*r->on)), .nodes[0] = (uint32_t)f->n };
	bool made = r->on != NULL;

	for (uint32_t i = 0; f->domains && i <= f->domains->n; i++) {
		r->in[i] = calloc(f->domains->v[i].n, sizeof(*r->in[i]));
		made &= r->in[i] != NULL;
	}
	return made ? 0 : -ENOMEM;
}

void zn__room_done(struct zn__room *r)
{
	free(r->on);
	for (size_t i = 0; i <= ZN_FLEET_LEVELS; i++)
		free(r->in[i]);
	*r = (struct zn__room){ 0 };
}

void zn__room_copy(struct zn__room *to, const struct zn__room *from, const struct zn_fleet *f)
{
	memcpy(to->on, from->on, f->n * sizeof(*to->on));
	for (uint32_t i = 0; f->domains && i <= f->domains->n; i++)
		memcpy(to->in[i], from->in[i], f->domains->v[i].n * sizeof(*to->in[i]));
	to->all = from->all;
	to->most = from->most;
	memcpy(to->nodes, from->nodes, sizeof(to->nodes));
}

void zn__room_set(struct zn__room *r, const struct zn_fleet *f, uint32_t node, uint16_t tasks)
{
	uint32_t more = tasks - (uint32_t)r->on[node]; /* modulo 2^32 */

	if (!more)
		return;
	r->all += (uint64_t)(int32_t)more;
	r->most = tasks > r->most ? tasks : r->most;
	r->nodes[r->on[node]]--;
	r->nodes[tasks]++;
	for (uint32_t i = 0; f->domains && i <= f->domains->n; i++)
		r->in[i][f->domains->v[i].of[node]] += more;
	r->on[node] = tasks;
}

static bool has_share(const struct zn_fleet_node *node, uint32_t milli)
{
	for (uint32_t i = 0; i < node->gpus; i++)
		if (node->milli[i] >= milli)
			return true;
	return false;
}

static uint64_t at_most(uint64_t n, uint64_t have, uint64_t each)
{
	return each && have / each < n ? have / each : n;
}

uint16_t zn__spread_on(const struct zn_fleet_node *node, const struct zn_fleet_gang *gang)
{
	const struct zn_fleet_task *t = &gang->task;
	uint64_t n = gang->per_node && gang->per_node < ZN__SPREAD_MAX ? gang->per_node : ZN__SPREAD_MAX;

	if (node->free_milli < t->gpus * t->gpu_milli || (t->models && !(t->models >> node->model & 1)))
		return 0;
	n = at_most(at_most(n, node->cpu_milli, t->cpu_milli), node->mem_bytes, t->mem_bytes);
	if (!n || !t->gpus)
		return (uint16_t)n;
	return (uint16_t)(t->gpu_milli < ZN_GPU_MILLI ? has_share(node, t->gpu_milli) : at_most(n, zn__node_whole(node), t->gpus));
}

/* ---- of each gang -------------------------------------------------------------------------------------------- */

static void spread_free(struct zn_fleet *f, struct zn__spread *s)
{
	if (f->tended == s)
		f->tended = s->hh.next;
	HASH_DEL(f->spreads, s);
	zn__room_done(&s->room);
	free(s);
}

void zn__spreads_done(struct zn_fleet *f)
{
	struct zn__spread *s, *next;

	HASH_ITER(hh, f->spreads, s, next)
		spread_free(f, s);
}

static void drop_oldest(struct zn_fleet *f)
{
	struct zn__spread *oldest = f->spreads;

	for (struct zn__spread *s = f->spreads; s; s = s->hh.next)
		oldest = s->asked < oldest->asked ? s : oldest;
	spread_free(f, oldest);
}

static void look_at_all(struct zn_fleet *f, struct zn__spread *s, const struct zn_fleet_gang *gang)
{
	for (size_t i = 0; i < f->n; i++)
		zn__room_set(&s->room, f, (uint32_t)i, zn__spread_on(&f->nodes[i], gang));
}

static struct zn__spread *spread_make(struct zn_fleet *f, const struct zn__spread_key *key, const struct zn_fleet_gang *gang)
{
	struct zn__spread *s = calloc(1, sizeof(*s));

	if (s && zn__room_make(&s->room, f) < 0) {
		zn__room_done(&s->room);
		free(s);
		s = NULL;
	}
	if (!s)
		return NULL;
	s->key = *key;
	HASH_ADD(hh, f->spreads, key, sizeof(*key), s);
	if (!s->hh.tbl) {
		zn__room_done(&s->room);
		free(s);
		return NULL;
	}
	look_at_all(f, s, gang);
	s->seen = f->changes;
	return s;
}

static void look_at_changed(struct zn_fleet *f, struct zn__spread *s, const struct zn_fleet_gang *gang)
{
	uint32_t at;

	for (uint64_t c = s->seen; c < f->changes; c++)
		if (zn__node_changed(f, c, &at))
			zn__room_set(&s->room, f, at, zn__spread_on(&f->nodes[at], gang));
}

static void catch_up(struct zn_fleet *f, struct zn__spread *s)
{
	struct zn_fleet_gang gang = { .task = s->key.task, .per_node = s->key.per_node };

	if (f->changes - s->seen > f->n)
		look_at_all(f, s, &gang);
	else
		look_at_changed(f, s, &gang);
	s->seen = f->changes;
}

void zn_fleet_tend(struct zn_fleet *f)
{
	struct zn__spread *s = f->tended ? f->tended : f->spreads;

	zn__choose_tend(f);
	if (!s)
		return;
	f->tended = s->hh.next;
	catch_up(f, s);
}

struct zn__spread *zn__spread_get(struct zn_fleet *f, const struct zn_fleet_gang *gang)
{
	struct zn__spread_key key = { .task = gang->task, .per_node = gang->per_node };
	struct zn__spread *s;

	HASH_FIND(hh, f->spreads, &key, sizeof(key), s);
	if (!s) {
		if (HASH_COUNT(f->spreads) >= zn__fleet_keeps(sizeof(*s) + f->n * sizeof(*s->room.on)))
			drop_oldest(f);
		s = spread_make(f, &key, gang);
	} else {
		catch_up(f, s);
	}
	if (s)
		s->asked = ++f->gangs_asked;
	return s;
}

/* ---- where it goes ------------------------------------------------------------------------------------------- */

/* Of the nodes from first to last: how many have room for so many tasks; and how many of these are filled, and on one with how
 * much room the rest goes.
 */
struct fill {
	uint32_t first, last;
	uint32_t nodes[ZN__SPREAD_MAX + 1], filled[ZN__SPREAD_MAX + 1];
	uint32_t rest, rest_on;        /* rest 0: there is none */
	uint32_t used;                 /* nodes */
};

static void count_nodes(struct fill *w, const struct zn__room *room)
{
	memset(w->nodes, 0, (room->most + 1u) * sizeof(*w->nodes));
	for (uint32_t i = w->first; i < w->last; i++)
		w->nodes[room->on[i]]++;
}

/* The roomiest nodes are filled, so that they are as few as can be; the rest goes where it fits best. */
static void fill(struct fill *w, const struct zn__room *room, uint32_t n)
{
	memset(w->filled, 0, (room->most + 1u) * sizeof(*w->filled));
	w->used = w->rest = 0;
	for (uint32_t k = room->most; k && n; k--) {
		uint32_t of = n / k < w->nodes[k] ? n / k : w->nodes[k];
		w->filled[k] = of;
		w->used += of;
		n -= of * k;
		if (n && of < w->nodes[k])
			break;
	}
	if (!n)
		return;
	w->rest = w->rest_on = n;
	while (w->nodes[w->rest_on] == w->filled[w->rest_on])
		w->rest_on++;
	w->used++;
}

static void fill_all(struct fill *w, const struct zn__room *room, const struct zn_fleet *f, uint32_t n)
{
	w->first = 0;
	w->last = (uint32_t)f->n;
	memcpy(w->nodes, room->nodes, (room->most + 1u) * sizeof(*w->nodes));
	fill(w, room, n);
}

static void fill_domain(struct fill *w, const struct zn__room *room, const struct zn__level *l, uint32_t domain, uint32_t n)
{
	w->first = l->first[domain];
	w->last = l->first[domain + 1];
	count_nodes(w, room);
	fill(w, room, n);
}

static uint32_t take_nodes(struct fill *w, const struct zn__room *room, struct zn_fleet_spot *ret)
{
	uint32_t n = 0;

	for (uint32_t i = w->first; i < w->last && n < w->used; i++) {
		uint32_t k = room->on[i];
		if (k && w->filled[k]) {
			w->filled[k]--;
			ret[n++] = (struct zn_fleet_spot){ .node = i, .tasks = k };
		} else if (k && w->rest && k == w->rest_on) {
			ret[n++] = (struct zn_fleet_spot){ .node = i, .tasks = w->rest };
			w->rest = 0;
		}
	}
	return n;
}

/* Of one level the domain where it takes the fewest nodes, and of these the one with the least room.  Nowhere it takes fewer than
 * least: where that is enough the others need no count.
 */
static bool choose_domain(const struct zn__level *l, const uint32_t *in, const struct zn__room *room, uint32_t n, uint32_t least,
                          struct fill *ret)
{
	uint32_t best = l->n, used = 0;

	for (uint32_t d = 0; d < l->n; d++) {
		if (in[d] < n || (best < l->n && used == least && in[d] >= in[best]))
			continue;
		fill_domain(ret, room, l, d, n);
		if (best < l->n && (ret->used > used || (ret->used == used && in[d] >= in[best])))
			continue;
		best = d;
		used = ret->used;
	}
	if (best < l->n)
		fill_domain(ret, room, l, best, n);
	return best < l->n;
}

/* Where no node says where it is there is one switch for all. */
static bool is_bound(const struct zn_fleet *f, const struct zn_fleet_gang *gang)
{
	return f->domains && gang->same_switch;
}

bool zn__room_has(const struct zn__room *room, const struct zn_fleet *f, const struct zn_fleet_gang *gang)
{
	if (!is_bound(f, gang))
		return room->all >= gang->n;
	for (uint32_t d = 0; d < f->domains->v[f->domains->n].n; d++)
		if (room->in[f->domains->n][d] >= gang->n)
			return true;
	return false;
}

uint32_t zn__spread_out(const struct zn_fleet *f, const struct zn__room *room, const struct zn_fleet_gang *gang, struct zn_fleet_spot *ret)
{
	uint32_t n = gang->n;
	struct fill w, all;

	fill_all(&all, room, f, n);
	if (is_bound(f, gang) && choose_domain(&f->domains->v[f->domains->n], room->in[f->domains->n], room, n, all.used, &w))
		return take_nodes(&w, room, ret);
	for (uint32_t i = 0; f->domains && i < f->domains->n; i++)
		if (choose_domain(&f->domains->v[i], room->in[i], room, n, all.used, &w))
			return take_nodes(&w, room, ret);
	return take_nodes(&all, room, ret);
}
