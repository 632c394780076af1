/* facts: one machine as a value, what it looks like as records, and looking into it. */
#include "plan/facts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rec/val.h"

const struct zn_kind *const zn_facts_kinds[] = {
	&zn_machine_kind, &zn_numa_kind, &zn_cpu_kind, &zn_gpu_kind, &zn_nic_kind, &zn_nvme_kind, &zn_link_kind, NULL,
};

void zn_facts_free(struct zn_facts *f)
{
	if (!f)
		return;
	if (f->give_back)
		f->give_back(f);
	zn_arena_done(&f->arena);
	free(f);
}

/* ---- records ----------------------------------------------------------------------------------- */

/* The kind's array in the facts. */
struct part {
	const struct zn_kind *kind;
	size_t v, n;           /* offsets in struct zn_facts */
	const char *must[3];   /* keys without which a record says nothing */
};

#define PART(kind, member, ...) \
	{ kind, offsetof(struct zn_facts, member), offsetof(struct zn_facts, n_##member), { __VA_ARGS__ } }

static const struct part parts[] = {
	PART(&zn_numa_kind, numas, "numa"),   PART(&zn_cpu_kind, cpus, "cpu"),
	PART(&zn_gpu_kind, gpus, "gpu"),      PART(&zn_nic_kind, nics, "nic"),
	PART(&zn_nvme_kind, nvmes, "nvme"),   PART(&zn_link_kind, links, "a", "b", "type"),
};
enum { PARTS = sizeof(parts) / sizeof(*parts) };

static char **array_of(struct zn_facts *f, const struct part *p)
{
	return (char **)((char *)f + p->v);
}

static size_t *count_of(struct zn_facts *f, const struct part *p)
{
	return (size_t *)((char *)f + p->n);
}

int zn_facts_encode(const struct zn_facts *facts, struct zn_buf *to)
{
	struct zn_facts *f = (struct zn_facts *)facts;
	uint32_t n = 1;

	for (size_t i = 0; i < PARTS; i++)
		n += (uint32_t)*count_of(f, &parts[i]);
	const unsigned char head[] = { 0xdd, (unsigned char)(n >> 24), (unsigned char)(n >> 16),
		                       (unsigned char)(n >> 8), (unsigned char)n };
	zn_buf_add(to, head, sizeof(head));
	int rc = zn_encode(&zn_machine_kind, &f->machine, to);
	for (size_t i = 0; i < PARTS; i++)
		for (size_t j = 0; rc == 0 && j < *count_of(f, &parts[i]); j++)
			rc = zn_encode(parts[i].kind, *array_of(f, &parts[i]) + j * parts[i].kind->size, to);
	return rc < 0 ? rc : to->failed ? -ENOMEM : 0;
}

static const struct part *part_of(const msgpack_object *map)
{
	const msgpack_object *kind = zn_val_get(map, "kind");

	for (size_t i = 0; i < PARTS; i++)
		if (kind && zn_val_is_text(kind, parts[i].kind->name))
			return &parts[i];
	return NULL;
}

static int make_arrays(const msgpack_object_array *list, struct zn_facts *f)
{
	size_t room[PARTS] = { 0 };

	for (size_t i = 0; i < list->size; i++) {
		const struct part *p = part_of(&list->ptr[i]);
		if (p)
			room[p - parts]++;
	}
	for (size_t i = 0; i < PARTS; i++) {
		*array_of(f, &parts[i]) = zn_arena_array(&f->arena, room[i] + 1, parts[i].kind->size);
		if (!*array_of(f, &parts[i]))
			return -ENOMEM;
	}
	return 0;
}

static int decode_one(const msgpack_object *map, struct zn_facts *f, struct zn_err *err)
{
	const struct part *p = part_of(map);

	if (map->type != MSGPACK_OBJECT_MAP)
		return zn_err_set(err, -EBADMSG, "a fact is not a map");
	const msgpack_object *kind = zn_val_get(map, "kind");
	if (kind && zn_val_is_text(kind, zn_machine_kind.name))
		return zn_decode(&zn_machine_kind, map, &f->arena, &f->machine, err);
	if (!p)
		return 0;
	for (size_t i = 0; i < sizeof(p->must) / sizeof(*p->must) && p->must[i]; i++) {
		const msgpack_object *v = zn_val_get(map, p->must[i]);
		if (!v || v->type == MSGPACK_OBJECT_NIL)
			return zn_err_set(err, -EBADMSG, "a %s record has no '%s'", p->kind->name, p->must[i]);
	}
	size_t *n = count_of(f, p);
	int rc = zn_decode(p->kind, map, &f->arena, *array_of(f, p) + *n * p->kind->size, err);
	if (rc == 0)
		++*n;
	return rc;
}

int zn_facts_decode(const msgpack_object *list, struct zn_facts **ret, struct zn_err *err)
{
	if (!list || list->type != MSGPACK_OBJECT_ARRAY)
		return zn_err_set(err, -EBADMSG, "facts are not a list of records");
	struct zn_facts *f = calloc(1, sizeof(*f));
	int rc = f ? make_arrays(&list->via.array, f) : -ENOMEM;
	if (rc < 0)
		zn_err_set(err, rc, "out of memory");
	for (size_t i = 0; rc == 0 && i < list->via.array.size; i++)
		rc = decode_one(&list->via.array.ptr[i], f, err);
	if (rc == 0 && (rc = zn_facts_wire(f)) < 0)
		zn_err_set(err, rc, "out of memory");
	if (rc < 0) {
		zn_facts_free(f);
		return rc;
	}
	*ret = f;
	return 0;
}

/* ---- looking ----------------------------------------------------------------------------------- */

struct zn_idset zn_facts_allowed_cpus(const struct zn_facts *f)
{
	struct zn_idset set = { 0 };

	for (size_t i = 0; i < f->n_cpus; i++)
		if (f->cpus[i].allowed)
			zn_idset_add(&set, f->cpus[i].cpu);
	return set;
}

struct zn_idset zn_facts_numa_cpus(const struct zn_facts *f, uint32_t numa)
{
	struct zn_idset set = { 0 };

	for (size_t i = 0; i < f->n_numas; i++)
		if (f->numas[i].numa == numa && f->numas[i].cpus &&
		    zn_idset_parse(f->numas[i].cpus, &set, NULL) < 0)
			return (struct zn_idset){ 0 };
	return set;
}

const struct zn_gpu *zn_facts_gpu(const struct zn_facts *f, uint32_t gpu)
{
	for (size_t i = 0; i < f->n_gpus; i++)
		if (f->gpus[i].gpu == gpu)
			return &f->gpus[i];
	return NULL;
}

const struct zn_nic *zn_facts_nic(const struct zn_facts *f, const char *name)
{
	for (size_t i = 0; i < f->n_nics; i++)
		if (!strcmp(f->nics[i].nic, name) || (f->nics[i].netdev && !strcmp(f->nics[i].netdev, name)))
			return &f->nics[i];
	return NULL;
}

const struct zn_link *zn_facts_link(const struct zn_facts *f, const char *a, const char *b)
{
	for (size_t i = 0; i < f->n_links; i++) {
		const struct zn_link *l = &f->links[i];
		if ((!strcmp(l->a, a) && !strcmp(l->b, b)) || (!strcmp(l->a, b) && !strcmp(l->b, a)))
			return l;
	}
	return NULL;
}
