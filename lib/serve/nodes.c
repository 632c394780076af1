/* nodes: which nodes this zn-schedd serves.  Said once they are remembered in the spool, so that whoever starts the next
 * zn-schedd, as zn-submit does, need not know of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "serve/server.h"

static int remember(const char *file, const char *kept, struct zn_err *err)
{
	struct zn_arena a = { 0 };
	char *text;
	size_t n;
	int rc = zn_file_read(AT_FDCWD, file, 1 << 20, &a, &text, &n);

	if (rc == 0)
		rc = zn_file_replace(kept, text, n, 0644, err);
	zn_arena_done(&a);
	return rc;
}

static int read_list(struct zn_server *s, const char *file, struct zn_err *err)
{
	char kept[4200];

	snprintf(kept, sizeof(kept), "%s/nodes.list", s->spool);
	if (!file && (!s->is_private || access(kept, F_OK) < 0)) /* machine-wide there is one node */
		return 0;
	int rc = zn_nodes_read(file ? file : kept, &s->listed, &s->named, err);
	return rc == 0 && file ? remember(file, kept, err) : rc;
}

/* listed: in the list of nodes, or as if it were. */
static int open_one(struct zn_server *s, uint32_t number, const char *name, struct zn_nodes_one *listed)
{
	struct zn_node *n = &s->nodes[number];

	if (zn_nodes_name_label(listed, &s->listed) < 0)
		return -ENOMEM;
	*n = (struct zn_node){ .server = s, .number = number, .name = name, .mock = listed->mock, .address = listed->address,
	                       .domain = listed->domain, .labels = listed->labels };
	s->jobs.room.nodes[number].domain = n->domain;
	s->jobs.room.nodes[number].labels = &n->labels;
	int len = s->named.n ? asprintf(&n->home, "%s/nodes/%s", s->spool, name) : asprintf(&n->home, "%s/node", s->spool);
	if (len < 0)
		n->home = NULL;
	return n->home ? 0 : -ENOMEM;
}

static int open_all(struct zn_server *s, const char *const *names)
{
	uint32_t n = s->named.n ? s->named.n : 1;
	int rc = zn_jobs_set_nodes(&s->jobs, names, n);

	s->nodes = calloc(n, sizeof(*s->nodes));
	s->n_nodes = s->nodes ? n : 0;
	for (uint32_t i = 0; rc == 0 && i < s->n_nodes; i++) {
		struct zn_nodes_one alone = { .name = s->jobs.nodes[i].name, .address = "127.0.0.1" };
		rc = open_one(s, i, s->jobs.nodes[i].name, s->named.n ? &s->named.v[i] : &alone);
	}
	return s->nodes ? rc : -ENOMEM;
}

int zn_nodes_open(struct zn_server *s, const char *file, struct zn_err *err)
{
	char host[256] = "";
	int rc = read_list(s, file, err);

	if (rc < 0)
		return rc;
	gethostname(host, sizeof(host) - 1);
	const char **names = zn_arena_array(&s->listed, s->named.n + 1, sizeof(*names));
	if (!names)
		return -ENOMEM;
	names[0] = host;
	for (uint32_t i = 0; i < s->named.n; i++)
		names[i] = s->named.v[i].name;
	return open_all(s, names);
}

void zn_nodes_close(struct zn_server *s)
{
	for (uint32_t i = 0; i < s->n_nodes; i++) {
		struct zn_node *n = &s->nodes[i];
		if (n->retry)
			event_free(n->retry);
		if (n->on_lost)
			event_free(n->on_lost);
		zn_facts_free(n->facts);
		free(n->running);
		free(n->home);
	}
	free(s->nodes);
	zn_arena_done(&s->listed);
}
