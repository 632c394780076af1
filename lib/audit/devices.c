#include "audit/devices.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

struct zn_devices {
	struct zn_facts *facts;
	struct zn_gpu_meter *meter;   /* NULL: a mock machine */
	bool sees_all;
};

static bool is_mock(const struct zn_topo_opts *opts)
{
	const char *mock = getenv("ZENITH_MOCK_GPUS");

	return opts ? opts->mock != NULL : mock && *mock;
}

int zn_devices_open(const struct zn_topo_opts *opts, struct zn_devices **ret, struct zn_err *err)
{
	struct zn_devices *d = calloc(1, sizeof(*d));
	int rc = d ? 0 : zn_err_set(err, -ENOMEM, "out of memory");

	/* the meter first: what holds a driver open makes reading the facts quick */
	if (rc == 0 && !is_mock(opts))
		rc = zn_gpu_meter_open("", &d->meter, err);
	if (rc == 0)
		rc = zn_facts_read(opts, &d->facts, err);
	if (rc < 0) {
		zn_devices_close(d);
		return rc;
	}
	d->sees_all = zn__pids_are_hosts();
	*ret = d;
	return 0;
}

const char *zn_devices_note(const struct zn_devices *d)
{
	if (d->facts->note)
		return d->facts->note;
	return d->meter ? zn_gpu_meter_note(d->meter) : NULL;
}

bool zn_devices_want_two(const struct zn_devices *d)
{
	return d->meter && zn_gpu_meter_wants_two(d->meter);
}

/* ---- who uses it ------------------------------------------------------------------------------- */

static struct zn_gpu_holder holder_of(const struct zn_devices *d, const struct zn_gpu_user *u)
{
	struct zn_gpu_holder h = { .pid = u->pid, .mem_bytes = u->mem_bytes };

	if (!d->sees_all && !zn__pid_holds_gpu((pid_t)u->pid))
		return h;
	uint64_t job = zn_audit_job_of((pid_t)u->pid);
	h.job = (struct zn_ou64){ .v = job, .has = job > 0 };
	h.user = u->user;
	h.command = u->command;
	return h;
}

static int name_holders(const struct zn_devices *d, struct zn_arena *a, struct zn_gpu_state *st)
{
	const struct zn_gpu_user *users = st->now.users.v;
	struct zn_gpu_holder *v = zn_arena_array(a, st->now.users.n + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < st->now.users.n; i++)
		v[i] = holder_of(d, &users[i]);
	st->holders = (struct zn_list){ .v = v, .n = st->now.users.n };
	return zn_gpu_state_name_holders(st, a);
}

/* ---- joining ------------------------------------------------------------------------------------ */

static const struct zn_gpu_sample *find_sample(const struct zn_list *samples, const struct zn_gpu *gpu)
{
	const struct zn_gpu_sample *v = samples->v;

	for (size_t i = 0; gpu->pci && i < samples->n; i++)
		if (v[i].pci && !strcasecmp(v[i].pci, gpu->pci))
			return &v[i];
	return NULL;
}

static bool do_others_answer(const struct zn_list *samples, const char *vendor)
{
	const struct zn_gpu_sample *v = samples->v;

	for (size_t i = 0; vendor && i < samples->n; i++)
		if (!strcmp(v[i].vendor, vendor))
			return true;
	return false;
}

static int join_all(struct zn_devices *d, const struct zn_list *samples, struct zn_arena *a, struct zn_gpu_state *v)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < d->facts->n_gpus; i++) {
		v[i] = (struct zn_gpu_state){ .gpu = d->facts->gpus[i], .is_mock = d->facts->machine.mock,
			                      .sees_all = d->sees_all, .note = zn_devices_note(d) };
		v[i].gpu.users = (struct zn_list){ 0 };
		v[i].now.time_s = zn_now_s();
		v[i].now.gpu = v[i].gpu.gpu;
		v[i].now.uuid = v[i].gpu.uuid;
		const struct zn_gpu_sample *s = find_sample(samples, &v[i].gpu);
		if (s)
			zn_gpu_state_join(&v[i], s);
		v[i].has_backend = zn_gpu_has_backend(v[i].gpu.vendor);
		v[i].others_answer = do_others_answer(samples, v[i].gpu.vendor);
		rc = name_holders(d, a, &v[i]);
	}
	return rc;
}

int zn_devices_read(struct zn_devices *d, struct zn_arena *a, struct zn_list *ret, struct zn_err *err)
{
	struct zn_list samples = { 0 };
	int rc = d->meter ? zn_gpu_meter_read(d->meter, a, &samples, err) : 0;

	if (rc < 0)
		return rc;
	struct zn_gpu_state *v = zn_arena_array(a, d->facts->n_gpus + 1, sizeof(*v));
	if (!v || join_all(d, &samples, a, v) < 0)
		return zn_err_set(err, -ENOMEM, "out of memory while asking the GPUs");
	*ret = (struct zn_list){ .v = v, .n = d->facts->n_gpus };
	return 0;
}

void zn_devices_close(struct zn_devices *d)
{
	if (!d)
		return;
	zn_gpu_meter_close(d->meter);
	if (d->facts)
		zn_facts_free(d->facts);
	free(d);
}
