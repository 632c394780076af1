/* licences: what is configured, asked at each submit and shown in the view. */
#include <errno.h>
#include <string.h>

#include "serve/server.h"

static const struct zn_licence_record *find(const struct zn_conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->n_licences; i++)
		if (!strcmp(conf->licences[i].name, name))
			return &conf->licences[i];
	return NULL;
}

int zn_licence_accepts(struct zn_server *s, const struct zn_spec *spec, struct zn_err *err)
{
	struct zn_list list = { 0 };
	int rc = zn_spec_licences_read(spec->resources.licences, &s->arena, &list, err);
	const struct zn_spec_licence *v = list.v;

	for (size_t i = 0; rc == 0 && i < list.n; i++) {
		const struct zn_licence_record *l = find(&s->conf, v[i].name);
		if (!l)
			rc = zn_err_set(err, -EBADMSG, "licence '%s' is not configured here: zn-queue licences lists those that are", v[i].name);
		else if (v[i].count > l->total)
			rc = zn_err_set(err, -EBADMSG, "it asks licence '%s' %llu times, and there are %llu: ask no more than that", v[i].name,
			                (unsigned long long)v[i].count, (unsigned long long)l->total);
	}
	return rc;
}

int zn_licence_set(struct zn_server *s)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < s->conf.n_licences; i++)
		rc = zn_jobs_set_licence(&s->jobs, s->conf.licences[i].name, s->conf.licences[i].total);
	return rc;
}

void zn_licence_publish(struct zn_server *s)
{
	for (size_t i = 0; i < s->conf.n_licences; i++) {
		int rc = zn_view_put_licence(s->view, s->seq, &s->conf.licences[i]);
		if (rc < 0)
			zn_log("view: licence: %s", strerror(-rc));
	}
}
