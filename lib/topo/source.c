#include "topo/source.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/units.h"

static int sys_line(const struct zn__topo_src *src, char *line, size_t size, const char *fmt, va_list ap)
{
	char path[512];

	if (src->root < 0)
		return -ENOENT;
	if (vsnprintf(path, sizeof(path), fmt, ap) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	int rc = zn_file_line(src->root, path, line, size);
	if (rc < 0)
		return rc;
	for (size_t n = strlen(line); n && isspace((unsigned char)line[n - 1]); n--)
		line[n - 1] = '\0';
	return 0;
}

/* Names come from firmware and files: no control byte of them may reach a terminal. */
char *zn__text(struct zn_arena *a, const char *text)
{
	char *copy = zn_arena_strdup(a, text);

	for (char *p = copy; p && *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	return copy;
}

const char *zn__sys_text(const struct zn__topo_src *src, struct zn_arena *a, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	int rc = sys_line(src, line, sizeof(line), fmt, ap);
	va_end(ap);
	return rc == 0 && *line ? zn__text(a, line) : NULL;
}

struct zn_ou64 zn__sys_u64(const struct zn__topo_src *src, const char *fmt, ...)
{
	char line[64];
	uint64_t v;
	va_list ap;

	va_start(ap, fmt);
	int rc = sys_line(src, line, sizeof(line), fmt, ap);
	va_end(ap);
	if (rc < 0 || zn_parse_u64(line, 0, UINT64_MAX, &v, NULL) < 0)
		return (struct zn_ou64){ 0 };
	return ZN_SOME_U64(v);
}

char *zn__cpu_list(struct zn_arena *a, hwloc_const_bitmap_t set)
{
	char *text = NULL;

	if (hwloc_bitmap_list_asprintf(&text, set) < 0)
		return NULL;
	char *copy = zn_arena_strdup(a, text);
	free(text);
	return copy;
}

char *zn__pci_name(struct zn_arena *a, hwloc_obj_t dev)
{
	const struct hwloc_pcidev_attr_s *p = &dev->attr->pcidev;
	return zn_arena_printf(a, "%04x:%02x:%02x.%x", p->domain, p->bus, p->dev, p->func);
}

const char *zn__obj_info(struct zn_arena *a, hwloc_obj_t obj, const char *name)
{
	const char *text = hwloc_obj_get_info_by_name(obj, name);
	return text && *text ? zn__text(a, text) : NULL;
}

static int read_all(const struct zn__topo_src *src, struct zn_topo *t)
{
	static int (*const reads[])(const struct zn__topo_src *, struct zn_topo *) = {
		zn__topo_read_machine, zn__topo_read_pci, zn__topo_read_nics, zn__topo_read_nvmes,
		zn__topo_read_nvlinks,
	};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(reads) / sizeof(*reads); i++)
		rc = reads[i](src, t);
	return rc;
}

static int read_mock(const struct zn__topo_src *src, const struct zn__mock *mock, struct zn_topo *t)
{
	int rc = zn__topo_read_machine(src, t);
	return rc < 0 ? rc : zn__topo_mock(mock, t);
}

static int open_and_read(const char *from, struct zn_topo *t, struct zn_err *err)
{
	struct zn__topo_src src;

	int rc = zn__topo_open(from, true, &src, err);
	if (rc == 0) {
		rc = read_all(&src, t);
		zn__topo_close(&src);
	}
	return rc;
}

static void die_silently(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (null >= 0)
		dup2(null, STDERR_FILENO);
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	alarm(30);
}

/* hwloc trusts what it reads and can die of a damaged recording: a child goes first. */
static int let_child_try(const char *from, struct zn_err *err)
{
	int status = 0;

	pid_t pid = fork();
	if (pid < 0)
		return zn_err_set(err, -errno, "can't start a process: %s", strerror(errno));
	if (pid == 0) {
		struct zn_topo t = { 0 };
		die_silently();
		open_and_read(from, &t, NULL);
		_exit(0); /* an error is for the parent to find again and to tell */
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status)
		return zn_err_set(err, -EBADMSG, "'%s' is damaged: hwloc can't read it without harm", from);
	return 0;
}

static int fill(const char *from, const struct zn__mock *mock, struct zn_topo *t, struct zn_err *err)
{
	struct zn__topo_src src;

	if (!mock) {
		int rc = from ? let_child_try(from, err) : 0;
		return rc < 0 ? rc : open_and_read(from, t, err);
	}
	int rc = zn__topo_open(NULL, false, &src, err);
	if (rc == 0) {
		rc = read_mock(&src, mock, t);
		zn__topo_close(&src);
	}
	return rc;
}

int zn_topo_read(const struct zn_topo_opts *opts, struct zn_topo **ret, struct zn_err *err)
{
	const char *spec = opts ? opts->mock : NULL;
	struct zn__mock mock;

	int rc = spec ? zn__mock_parse(spec, &mock, err) : 0;
	if (rc < 0)
		return rc;
	struct zn_topo *t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	rc = fill(opts ? opts->from : NULL, spec ? &mock : NULL, t, err);
	if (rc < 0) {
		zn_topo_free(t);
		return rc;
	}
	t->machine.gpus = (uint32_t)t->n_gpus;
	t->machine.nics = (uint32_t)t->n_nics;
	t->machine.nvmes = (uint32_t)t->n_nvmes;
	*ret = t;
	return 0;
}

void zn_topo_free(struct zn_topo *t)
{
	if (!t)
		return;
	zn_arena_done(&t->arena);
	free(t);
}
