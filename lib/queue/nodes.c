#include "queue/nodes.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "rec/selector.h"

enum { FILE_MAX = 1 << 20 };

struct reading { const char *path; unsigned line; struct zn_arena *a; struct zn_nodes *to; struct zn_err *err; };

bool zn_node_name_is_good(const char *name)
{
	static const char fit[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t n = strlen(name);

	return n && n <= ZN_NODE_NAME_MAX && *name != '.' && *name != '-' && strspn(name, fit) == n;
}

static int take_label(struct reading *r, struct zn_nodes_one *one, const char *name, const char *value)
{
	struct zn_strmap *l = &one->labels;

	if (!zn_label_is_good(name, strlen(name)) || (*value && !zn_label_is_good(value, strlen(value))))
		return zn_err_set(r->err, -EBADMSG, "'%s' line %u: '%s=%s' is no label: up to %d letters, digits, '-', '_' and '.'", r->path, r->line,
		                  name, value, ZN_LABEL_MAX);
	if (!strcmp(name, "node"))
		return zn_err_set(r->err, -EBADMSG, "'%s' line %u: label 'node' is there already: it is the node's name", r->path, r->line);
	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->v[i].key, name))
			return zn_err_set(r->err, -EBADMSG, "'%s' line %u: label '%s' is there twice", r->path, r->line, name);
	if (l->n == ZN_NODE_LABELS_MAX)
		return zn_err_set(r->err, -EBADMSG, "'%s' line %u: more than %d labels", r->path, r->line, ZN_NODE_LABELS_MAX);
	if (!l->v)
		l->v = zn_arena_array(r->a, ZN_NODE_LABELS_MAX, sizeof(*l->v));
	if (!l->v)
		return -ENOMEM;
	l->v[l->n++] = (struct zn_pair){ name, value };
	return 0;
}

int zn_nodes_name_label(struct zn_nodes_one *one, struct zn_arena *a)
{
	struct zn_strmap *l = &one->labels;
	struct zn_pair *v = zn_arena_array(a, l->n + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	if (l->n)
		memcpy(v + 1, l->v, l->n * sizeof(*v));
	v[0] = (struct zn_pair){ "node", one->name };
	*l = (struct zn_strmap){ v, l->n + 1 };
	return 0;
}

static int take_key(struct reading *r, struct zn_nodes_one *one, char *word)
{
	char *value = strchr(word, '=');

	bool is_label = !strncmp(word, "label.", 6);

	if (!value || (!value[1] && !is_label))
		return zn_err_set(r->err, -EBADMSG, "'%s' line %u: '%s' is no key=value", r->path, r->line, word);
	*value++ = '\0';
	if (is_label)
		return take_label(r, one, word + 6, value);
	if (!strcmp(word, "mock"))
		one->mock = value;
	else if (!strcmp(word, "address"))
		one->address = value;
	else if (!strcmp(word, "domain"))
		one->domain = value;
	else
		return zn_err_set(r->err, -EBADMSG, "'%s' line %u: there is no key '%s' of a node: address, domain, label.NAME and mock are some", r->path, r->line, word);
	return 0;
}

static int take_name(struct reading *r, const char *name)
{
	if (!zn_node_name_is_good(name))
		return zn_err_set(r->err, -EBADMSG, "'%s' line %u: '%s' is no name for a node: up to %d letters, digits, '-', '_' and '.'", r->path,
		                  r->line, name, ZN_NODE_NAME_MAX);
	for (uint32_t i = 0; i < r->to->n; i++)
		if (!strcmp(r->to->v[i].name, name))
			return zn_err_set(r->err, -EBADMSG, "'%s' line %u: node '%s' is there twice", r->path, r->line, name);
	if (r->to->n == ZN_NODES_MAX)
		return zn_err_set(r->err, -EBADMSG, "'%s' line %u: more than %d nodes", r->path, r->line, ZN_NODES_MAX);
	r->to->v[r->to->n] = (struct zn_nodes_one){ .name = name, .address = "127.0.0.1" };
	return 0;
}

static int take_line(struct reading *r, char *line)
{
	char *at = line, *word = strtok_r(line, " \t\r", &at);
	int rc = word ? take_name(r, word) : 0;

	if (!word || rc < 0)
		return rc;
	while (rc == 0 && (word = strtok_r(NULL, " \t\r", &at)))
		rc = take_key(r, &r->to->v[r->to->n], word);
	r->to->n++;
	return rc;
}

int zn_nodes_read(const char *path, struct zn_arena *a, struct zn_nodes *ret, struct zn_err *err)
{
	struct reading r = { .path = path, .a = a, .to = ret, .err = err };
	char *text;
	size_t n;

	*ret = (struct zn_nodes){ .v = zn_arena_array(a, ZN_NODES_MAX, sizeof(*ret->v)) };
	int rc = ret->v ? zn_file_read(AT_FDCWD, path, FILE_MAX, a, &text, &n) : -ENOMEM;
	if (rc < 0)
		return zn_err_set(err, rc, "can't read '%s': %s", path, strerror(-rc));
	if (memchr(text, '\0', n))
		return zn_err_set(err, -EBADMSG, "'%s' is no text", path);
	for (char *line = text, *next; rc == 0 && line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		r.line++;
		line[strcspn(line, "#")] = '\0';
		rc = take_line(&r, line);
	}
	if (rc == 0 && !ret->n)
		return zn_err_set(err, -EBADMSG, "'%s' names no node", path);
	return rc;
}
