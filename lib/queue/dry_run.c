/* dry_run: where a submission would go, if it were one. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "queue/machine.h"
#include "queue/picture.h"

static struct zn_ask ask_of(const struct zn_spec *s)
{
	const struct zn_spec_resources *r = &s->resources;

	return (struct zn_ask){ .gpus = (uint32_t)r->gpus.v, .cpus = r->cpus, .mem_bytes = r->mem_bytes.v,
	                        .tasks = r->tasks.has ? (uint32_t)r->tasks.v : 1,
	                        .nvlink_required = s->locality.nvlink && !strcmp(s->locality.nvlink, "require") };
}

static int plan(struct zn_picture *p, const struct zn_ask *ask, struct zn_arena *a, struct zn_planned *ret,
                struct zn_err *err)
{
	struct zn_facts *facts = NULL;
	struct zn_free free;
	char host[256] = "";

	if (!p->n_nodes || zn_picture_node(p, p->nodes, &facts, &free, err) < 0) {
		int rc = zn_machine_ask(&facts, err);
		if (rc < 0)
			return rc;
		free = zn_plan_idle(facts);
		gethostname(host, sizeof(host) - 1);
	}
	const char *node = zn_arena_strdup(a, p->n_nodes ? p->nodes->node_id : host);
	int rc = node ? zn_picture_plan(node, facts, &free, p->nodes, ask, a, ret) : -ENOMEM;
	zn_facts_free(facts);
	return rc == -ENOMEM ? rc : 0;
}

int zn_dry_run(const char *spool, const struct zn_spec *s, struct zn_arena *a, struct zn_planned *ret, struct zn_err *err)
{
	struct zn_picture picture = { 0 };
	struct zn_ask ask = ask_of(s);

	zn_picture_of_spool(spool, &picture, NULL);
	int rc = plan(&picture, &ask, a, ret, err);
	zn_picture_done(&picture);
	return rc;
}
