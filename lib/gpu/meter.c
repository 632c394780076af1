#include "gpu/meter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "gpu/backend.h"

enum { BACKENDS_MAX = 4 };

struct zn_gpu_meter {
	char *root;
	struct zn__gpu_probe probes[BACKENDS_MAX];
	size_t n;
};

static int open_all(struct zn_gpu_meter *m)
{
	int rc = 0;

	for (; rc == 0 && zn__gpu_backends[m->n] && m->n < BACKENDS_MAX; m->n++) {
		m->probes[m->n].root = m->root;
		rc = zn__gpu_backends[m->n]->open(&m->probes[m->n]);
	}
	return rc;
}

int zn_gpu_meter_open(const char *root, struct zn_gpu_meter **ret, struct zn_err *err)
{
	struct zn_gpu_meter *m = calloc(1, sizeof(*m));
	int rc = m && asprintf(&m->root, "%s", root) >= 0 ? open_all(m) : -ENOMEM;

	if (rc < 0) {
		zn_gpu_meter_close(m);
		return zn_err_set(err, rc, "out of memory while opening the GPUs");
	}
	*ret = m;
	return 0;
}

const char *zn_gpu_meter_note(const struct zn_gpu_meter *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->probes[i].note)
			return m->probes[i].note;
	return NULL;
}

bool zn_gpu_meter_wants_two(const struct zn_gpu_meter *m)
{
	bool any = false;

	for (size_t i = 0; i < m->n; i++)
		any |= m->probes[i].n && m->probes[i].wants_two;
	return any;
}

int zn_gpu_meter_read(struct zn_gpu_meter *m, struct zn_arena *a, struct zn_list *ret, struct zn_err *err)
{
	size_t all = 0, n = 0;
	int rc = 0;

	for (size_t i = 0; i < m->n; i++)
		all += m->probes[i].n;
	struct zn_gpu_sample *v = zn_arena_array(a, all + 1, sizeof(*v));
	if (!v)
		rc = -ENOMEM;
	for (size_t i = 0; rc == 0 && i < m->n; i++) {
		for (size_t k = 0; k < m->probes[i].n; k++)
			v[n + k].time_s = zn_now_s();
		if (m->probes[i].state)
			rc = zn__gpu_backends[i]->measure(&m->probes[i], a, v + n);
		n += m->probes[i].n;
	}
	if (rc < 0)
		return zn_err_set(err, rc, "out of memory while asking the GPUs");
	*ret = (struct zn_list){ .v = v, .n = n };
	return 0;
}

void zn_gpu_meter_close(struct zn_gpu_meter *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++) {
		if (m->probes[i].state)
			zn__gpu_backends[i]->close(&m->probes[i]);
		zn_arena_done(&m->probes[i].arena);
	}
	free(m->root);
	free(m);
}
