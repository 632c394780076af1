/* quota: what is configured, asked at each submit and shown in the view. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "serve/server.h"

int zn_quota_accepts(struct zn_server *s, const struct zn_spec *spec, uid_t uid, struct zn_err *err)
{
	const struct zn_spec_resources *r = &spec->resources;
	struct zn_pick_ask ask = {
		.gpus = zn_spec_gpus(r), .part = { .milli = zn_spec_gpu_milli(r), .mem_bytes = r->gpu_mem_bytes.v }, .cpus = (uint32_t)r->cpus.v, .mem_bytes = r->mem_bytes.v,
		.tasks = zn_spec_tasks(r),
	};
	zn_room_fill_in(&s->jobs.room, &ask.part);
	struct zn_use use = zn_pick_use(&ask);

	use.queued = zn_spec_elements(spec);
	return zn_payers_accept(&s->jobs.payers, zn_uid_name(s, uid), spec->policy.account, &use,
	                        spec->policy.preemptible.v ? ZN_QUOTA_HARD : ZN_QUOTA_SOFT, err);
}

/* Of who changed by more than a twentieth, or of all. */
static void publish_shares(struct zn_server *s, bool all)
{
	for (struct zn_leaf *leaf = s->jobs.payers.leaves.all; leaf; leaf = leaf->hh.next) {
		if (!all && fabs(leaf->factor - leaf->said) < leaf->said / 20)
			continue;
		leaf->said = leaf->factor;
		int rc = zn_view_put_share(s->view, s->seq, leaf);
		if (rc < 0)
			zn_log("view: share: %s", strerror(-rc));
	}
}

void zn_quota_weigh(struct zn_server *s, double now_s)
{
	struct zn_leaves *l = &s->jobs.payers.leaves;
	double before_s = l->weighed_s;

	l->by_cpus = zn_room_is_known(&s->jobs.room) && !zn_room_gpus(&s->jobs.room);
	zn_leaves_weigh(l, now_s);
	if (l->weighed_s != before_s)
		publish_shares(s, false);
}

void zn_quota_publish(struct zn_server *s)
{
	publish_shares(s, true);
	for (size_t i = 0; i < s->conf.quotas.n; i++) {
		int rc = zn_view_put_quota(s->view, s->seq, &s->conf.quotas.v[i]);
		if (rc < 0)
			zn_log("view: quota: %s", strerror(-rc));
	}
}
