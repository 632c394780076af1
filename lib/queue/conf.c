#include "queue/conf.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/account.h"
#include "base/text.h"
#include "base/units.h"
#include "pick/gap.h"

enum kind { DURATION, YES_NO, TEXT, COUNT, SIZE, HOURS, RESERVATIONS, WEIGHT };

struct row {
	const char *section, *key;
	enum kind kind;
	size_t at;
};

static const struct row rows[] = {
	{ "queue", "default_time_limit", DURATION, offsetof(struct zn_conf, default_limit_s) },
	{ "queue", "grace", DURATION, offsetof(struct zn_conf, grace_s) },
	{ "queue", "silence", DURATION, offsetof(struct zn_conf, silence_s) },
	{ "queue", "lost", DURATION, offsetof(struct zn_conf, lost_s) },
	{ "queue", "history", DURATION, offsetof(struct zn_conf, history_s) },
	{ "queue", "idle_exit", DURATION, offsetof(struct zn_conf, idle_exit_s) },
	{ "queue", "autostart", YES_NO, offsetof(struct zn_conf, autostart) },
	{ "queue", "on_finish", TEXT, offsetof(struct zn_conf, on_finish) },
	{ "queue", "reservations", RESERVATIONS, offsetof(struct zn_conf, reservations) },
	{ "queue", "default_preemptible", YES_NO, offsetof(struct zn_conf, default_preemptible) },
	{ "queue", "share_between_users", YES_NO, offsetof(struct zn_conf, share_between_users) },
	{ "queue", "system_accounts", YES_NO, offsetof(struct zn_conf, system_accounts) },
	{ "operators", "users", TEXT, offsetof(struct zn_conf, operators) },
	{ "order", "estimate", WEIGHT, offsetof(struct zn_conf, weights.estimate) },
	{ "order", "size", WEIGHT, offsetof(struct zn_conf, weights.size) },
	{ "order", "fair_share", WEIGHT, offsetof(struct zn_conf, weights.fair_share) },
	{ "metrics", "listen", TEXT, offsetof(struct zn_conf, metrics_listen) },
	{ "metrics", "anywhere", YES_NO, offsetof(struct zn_conf, metrics_anywhere) },
	{ "metrics", "textfile", TEXT, offsetof(struct zn_conf, metrics_textfile) },
	{ "fair_share", "half_life", DURATION, offsetof(struct zn_conf, shares.half_life_s) },
};

/* In struct zn_quota. */
static const struct row quota_rows[] = {
	{ "quota", "running", COUNT, offsetof(struct zn_quota, hard.running) },
	{ "quota", "queued", COUNT, offsetof(struct zn_quota, queued) },
	{ "quota", "gpus", COUNT, offsetof(struct zn_quota, hard.gpus) },
	{ "quota", "cpus", COUNT, offsetof(struct zn_quota, hard.cpus) },
	{ "quota", "mem", SIZE, offsetof(struct zn_quota, hard.mem_bytes) },
	{ "quota", "gpu_hours", HOURS, offsetof(struct zn_quota, hard.gpu_hours) },
	{ "quota", "soft_running", COUNT, offsetof(struct zn_quota, soft.running) },
	{ "quota", "soft_gpus", COUNT, offsetof(struct zn_quota, soft.gpus) },
	{ "quota", "soft_cpus", COUNT, offsetof(struct zn_quota, soft.cpus) },
	{ "quota", "soft_mem", SIZE, offsetof(struct zn_quota, soft.mem_bytes) },
	{ "quota", "soft_gpu_hours", HOURS, offsetof(struct zn_quota, soft.gpu_hours) },
	{ "quota", "window", DURATION, offsetof(struct zn_quota, window_s) },
	{ "quota", "users", TEXT, offsetof(struct zn_quota, users) },
};
enum { WINDOW_S = 7 * 86400, WINDOW_MIN_S = 1, SECTION_MAX = 49 }; /* inih cuts longer names of sections */

struct reading {
	struct zn_conf *conf;
	struct zn_err *err;
	const char *file;
	unsigned seen;             /* a bit per row */
	unsigned *quota_seen;      /* the same of each quota */
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

static int number(const char *text, double most, struct zn_of64 *ret)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end || !(v >= 0) || v > most)
		return -EINVAL;
	*ret = ZN_SOME_F64(v);
	return 0;
}

/* of: what the row's offset is in. */
static int set(struct zn_conf *conf, void *of, const struct row *row, const char *value)
{
	void *to = (char *)of + row->at;
	struct zn_ou64 *count = to;

	switch (row->kind) {
	case DURATION:
		return zn_parse_duration(value, to, NULL);
	case YES_NO:
		return yes_no(value, to);
	case TEXT:
		*(const char **)to = zn_arena_strdup(&conf->arena, value);
		return *(const char **)to ? 0 : -ENOMEM;
	case COUNT:
		count->has = true;
		return zn_parse_u64(value, 0, INT64_MAX, &count->v, NULL);
	case SIZE:
		count->has = true;
		return zn_parse_bytes(value, &count->v, NULL);
	case HOURS:
		return number(value, 1e12, to);
	case WEIGHT:
		return number(value, ZN_PICK_WEIGHT_MAX, to);
	case RESERVATIONS:
		return zn_parse_u64(value, 1, ZN_PICK_RESERVATIONS, to, NULL);
	}
	return -EINVAL;
}

__attribute__((format(printf, 2, 3)))
static void complain(struct reading *r, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (r->rc < 0) /* the first one stands */
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->rc = zn_err_set(r->err, -EINVAL, "'%s': %s", r->file, text);
}

static bool is_name(const char *name)
{
	return *name && !isspace((unsigned char)*name) && !isspace((unsigned char)name[strlen(name) - 1]);
}

/* One line of a section whose keys are these rows. */
static void take_row(struct reading *r, void *of, const struct row *row, unsigned bit, unsigned *seen, const char *section,
                     const char *value)
{
	if (*seen & bit) /* inih hands on a continued line as the key once more */
		complain(r, "[%s] %s stands twice or goes on in a second line", section, row->key);
	*seen |= bit;
	if (set(r->conf, of, row, value) == 0)
		return;
	if (row->kind == WEIGHT)
		complain(r, "[%s] %s = '%s': a number from 0 to %d", section, row->key, value, ZN_PICK_WEIGHT_MAX);
	else if (row->kind == RESERVATIONS)
		complain(r, "[%s] %s = '%s': a number from 1 to %d", section, row->key, value, ZN_PICK_RESERVATIONS);
	else
		complain(r, "[%s] %s = '%s' makes no sense", section, row->key, value);
}

/* That of "user:ann", a new one if need be; the sections of one may stand apart.  NULL: out of memory. */
static struct zn_quota *quota_get(struct reading *r, const char *of, const char *name, unsigned **ret_seen)
{
	struct zn_quotas *q = &r->conf->quotas;
	size_t at = 0;

	while (at < q->n && (strcmp(q->v[at].of, of) || strcmp(q->v[at].name, name)))
		at++;
	if (at == q->n) {
		struct zn_quota *v = reallocarray(q->v, q->n + 1, sizeof(*v));
		unsigned *seen = v ? reallocarray(r->quota_seen, q->n + 1, sizeof(*seen)) : NULL;
		q->v = v ? v : q->v;
		r->quota_seen = seen ? seen : r->quota_seen;
		char *copy = seen ? zn_arena_strdup(&r->conf->arena, name) : NULL;
		if (!copy)
			return NULL;
		r->quota_seen[at] = 0;
		q->v[q->n++] = (struct zn_quota){ .of = of, .name = copy, .window_s = WINDOW_S };
	}
	*ret_seen = &r->quota_seen[at];
	return &q->v[at];
}

static void take_quota(struct reading *r, const char *section, const char *key, const char *value)
{
	const char *whose = section + strlen("quota "), *name = strchr(whose, ':');
	bool user = !strncmp(whose, "user:", 5), account = !strncmp(whose, "account:", 8);
	size_t row = 0, n = sizeof(quota_rows) / sizeof(*quota_rows);
	unsigned *seen;

	while (row < n && strcmp(quota_rows[row].key, key))
		row++;
	if ((!user && !account) || !is_name(name + 1) || strlen(section) >= SECTION_MAX) {
		complain(r, "[%s] is none: [quota user:NAME] or [quota account:NAME], of %d bytes at most", section, SECTION_MAX - 1);
	} else if (row == n) {
		complain(r, "[%s] has no key '%s'", section, key);
	} else {
		struct zn_quota *q = quota_get(r, user ? "user" : "account", name + 1, &seen);
		if (q)
			take_row(r, q, &quota_rows[row], 1u << row, seen, section, value);
		else
			r->rc = zn_err_set(r->err, -ENOMEM, "out of memory");
		if (q && user && q->users)
			complain(r, "[%s] users is for accounts", section);
		if (q && q->window_s < WINDOW_MIN_S)
			complain(r, "[%s] window = '%s': a second at least", section, value);
	}
}

static void take_share(struct reading *r, const char *section, const char *key, const char *value)
{
	struct zn_shares *s = &r->conf->shares;
	const char *whose = section + strlen("share "), *name = strchr(whose, ':');
	bool user = !strncmp(whose, "user:", 5), account = !strncmp(whose, "account:", 8);
	char *end;
	double shares = strtod(value, &end);

	if ((!user && !account) || !is_name(name + 1) || strlen(section) >= SECTION_MAX)
		complain(r, "[%s] is none: [share user:NAME] or [share account:NAME], of %d bytes at most", section, SECTION_MAX - 1);
	else if (strcmp(key, "shares"))
		complain(r, "[%s] has no key '%s'", section, key);
	else if (end == value || *end || !(shares >= 0.001) || shares > 1e9)
		complain(r, "[%s] %s = '%s': a number from 0.001 to 1e9", section, key, value);
	for (size_t i = 0; r->rc == 0 && i < s->n; i++)
		if (!strcmp(s->v[i].name, name + 1) && !strcmp(s->v[i].of, user ? "user" : "account"))
			complain(r, "[%s] %s stands twice or goes on in a second line", section, key);
	if (r->rc < 0)
		return;
	struct zn_share *v = reallocarray(s->v, s->n + 1, sizeof(*v));
	char *copy = v ? zn_arena_strdup(&r->conf->arena, name + 1) : NULL;
	s->v = v ? v : s->v;
	if (copy)
		s->v[s->n++] = (struct zn_share){ .of = user ? "user" : "account", .name = copy, .shares = shares };
	else
		r->rc = zn_err_set(r->err, -ENOMEM, "out of memory");
}

/* inih hands on the name of a line that goes on in a second one cut. */
static bool is_licence(const char *name)
{
	return strlen(name) < SECTION_MAX && zn_licence_check_name(name, NULL) == 0;
}

static void take_licence(struct reading *r, const char *name, const char *value)
{
	struct zn_conf *c = r->conf;
	uint64_t total = 0;

	if (!is_licence(name))
		complain(r, "[licences] '%s' is no name of one: 1 to %d bytes without ':' and ','", name, SECTION_MAX - 1);
	else if (zn_parse_u64(value, 0, ZN_LICENCE_COUNT_MAX, &total, NULL) < 0)
		complain(r, "[licences] %s = '%s': a number from 0 to %d", name, value, ZN_LICENCE_COUNT_MAX);
	for (size_t i = 0; r->rc == 0 && i < c->n_licences; i++)
		if (!strcmp(c->licences[i].name, name))
			complain(r, "[licences] %s stands twice or goes on in a second line", name);
	if (r->rc < 0)
		return;
	struct zn_licence_record *v = reallocarray(c->licences, c->n_licences + 1, sizeof(*v));
	char *copy = v ? zn_arena_strdup(&c->arena, name) : NULL;
	c->licences = v ? v : c->licences;
	if (copy)
		c->licences[c->n_licences++] = (struct zn_licence_record){ .name = copy, .total = total };
	else
		r->rc = zn_err_set(r->err, -ENOMEM, "out of memory");
}

static int on_line(void *arg, const char *section, const char *key, const char *value)
{
	struct reading *r = arg;
	size_t i = 0, n = sizeof(rows) / sizeof(*rows);

	while (i < n && (strcmp(rows[i].section, section) || strcmp(rows[i].key, key)))
		i++;
	if (!strncmp(section, "quota ", 6))
		take_quota(r, section, key, value);
	else if (!strncmp(section, "share ", 6))
		take_share(r, section, key, value);
	else if (!strcmp(section, "licences"))
		take_licence(r, key, value);
	else if (i < n)
		take_row(r, r->conf, &rows[i], 1u << i, &r->seen, section, value);
	else
		complain(r, "[%s] has no key '%s'", section, key);
	return r->rc == 0;
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
	struct zn_conf conf = { .grace_s = 30, .silence_s = 30, .lost_s = 300, .history_s = 30 * 86400.0, .idle_exit_s = 3600, .autostart = true, .reservations = 1,
	                        .shares.half_life_s = 7 * 86400.0 };
	char path[4096];

	if (file)
		snprintf(path, sizeof(path), "%s", file);
	if (file || usual_file(path, sizeof(path))) {
		struct reading r = { .conf = &conf, .err = err, .file = path };
		int rc = ini_parse(path, on_line, &r);
		free(r.quota_seen);
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
	free(conf->quotas.v);
	free(conf->shares.v);
	free(conf->licences);
	conf->licences = NULL;
	conf->n_licences = 0;
	conf->shares = (struct zn_shares){ 0 };
	conf->quotas = (struct zn_quotas){ 0 };
	zn_arena_done(&conf->arena);
}

bool zn_conf_is_operator(const struct zn_conf *conf, const char *user)
{
	return conf->operators && zn_text_lists(conf->operators, user);
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
