#include "queue/conf.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/account.h"
#include "base/units.h"

enum kind { DURATION, YES_NO, TEXT };

struct row {
	const char *section, *key;
	enum kind kind;
	size_t at;
};

static const struct row rows[] = {
	{ "queue", "default_time_limit", DURATION, offsetof(struct zn_conf, default_limit_s) },
	{ "queue", "grace", DURATION, offsetof(struct zn_conf, grace_s) },
	{ "queue", "history", DURATION, offsetof(struct zn_conf, history_s) },
	{ "queue", "idle_exit", DURATION, offsetof(struct zn_conf, idle_exit_s) },
	{ "queue", "autostart", YES_NO, offsetof(struct zn_conf, autostart) },
	{ "queue", "on_finish", TEXT, offsetof(struct zn_conf, on_finish) },
	{ "queue", "system_accounts", YES_NO, offsetof(struct zn_conf, system_accounts) },
	{ "operators", "users", TEXT, offsetof(struct zn_conf, operators) },
};

struct reading {
	struct zn_conf *conf;
	struct zn_err *err;
	const char *file;
	unsigned seen;             /* a bit per row */
	int rc;
};

static int yes_no(const char *text, bool *ret)
{
	if (!strcasecmp(text, "yes") || !strcasecmp(text, "true") || !strcmp(text, "1"))
		*ret = true;
	else if (!strcasecmp(text, "no") || !strcasecmp(text, "false") || !strcmp(text, "0"))
		*ret = false;
	else
		return -EINVAL;
	return 0;
}

static int set(struct zn_conf *conf, const struct row *row, const char *value)
{
	void *to = (char *)conf + row->at;

	switch (row->kind) {
	case DURATION:
		return zn_parse_duration(value, to, NULL);
	case YES_NO:
		return yes_no(value, to);
	case TEXT:
		*(const char **)to = zn_arena_strdup(&conf->arena, value);
		return *(const char **)to ? 0 : -ENOMEM;
	}
	return -EINVAL;
}

static int on_line(void *arg, const char *section, const char *key, const char *value)
{
	struct reading *r = arg;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (strcmp(rows[i].section, section) || strcmp(rows[i].key, key))
			continue;
		if (r->seen & 1u << i && r->rc == 0) /* inih hands on a continued line as the key once more */
			r->rc = zn_err_set(r->err, -EINVAL, "'%s': [%s] %s stands twice or goes on in a second line",
			                   r->file, section, key);
		r->seen |= 1u << i;
		int rc = set(r->conf, &rows[i], value);
		if (rc < 0 && r->rc == 0)
			r->rc = zn_err_set(r->err, rc, "'%s': [%s] %s = '%s' makes no sense", r->file, section,
			                   key, value);
		return rc == 0;
	}
	if (r->rc == 0)
		r->rc = zn_err_set(r->err, -EINVAL, "'%s': [%s] has no key '%s'", r->file, section, key);
	return 0;
}

static bool usual_file(char *path, size_t size)
{
	const char *env = getenv("ZENITH_CONFIG"), *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	struct zn_account me;

	if (env && *env) {
		snprintf(path, size, "%s", env);
		return true;
	}
	if (!home && zn_account_read(geteuid(), &me) == 0)
		home = me.home;
	if (xdg && *xdg)
		snprintf(path, size, "%s/zenith/zenith.conf", xdg);
	else
		snprintf(path, size, "%s/.config/zenith/zenith.conf", home ? home : "");
	if (access(path, F_OK) == 0)
		return true;
	snprintf(path, size, "/etc/zenith/zenith.conf");
	return access(path, F_OK) == 0;
}

int zn_conf_read(const char *file, struct zn_conf *ret, struct zn_err *err)
{
	struct zn_conf conf = { .grace_s = 30, .history_s = 30 * 86400.0, .idle_exit_s = 3600, .autostart = true };
	char path[4096];

	if (file)
		snprintf(path, sizeof(path), "%s", file);
	if (file || usual_file(path, sizeof(path))) {
		struct reading r = { .conf = &conf, .err = err, .file = path };
		int rc = ini_parse(path, on_line, &r);
		if (rc < 0 && r.rc == 0)
			r.rc = zn_err_set(err, -ENOENT, "can't read the configuration '%s': %s", path, strerror(errno));
		else if (rc > 0 && r.rc == 0)
			r.rc = zn_err_set(err, -EINVAL, "'%s': line %d is no INI or has more than 200 bytes", path, rc);
		if (r.rc < 0) {
			zn_conf_done(&conf);
			return r.rc;
		}
	}
	*ret = conf;
	return 0;
}

void zn_conf_done(struct zn_conf *conf)
{
	zn_arena_done(&conf->arena);
}

bool zn_conf_is_operator(const struct zn_conf *conf, const char *user)
{
	size_t n = strlen(user);

	for (const char *p = conf->operators; p && *p;) {
		p += strspn(p, ", \t");
		size_t word = strcspn(p, ", \t");
		if (word == n && !strncmp(p, user, n))
			return true;
		p += word;
	}
	return false;
}

void zn_program_beside(const char *name, char *path, size_t size)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0) {
		self[n] = '\0';
		char *slash = strrchr(self, '/');
		if (slash) {
			snprintf(path, size, "%.*s/%s", (int)(slash - self), self, name);
			if (access(path, X_OK) == 0)
				return;
		}
	}
	snprintf(path, size, "%s", name);
}
