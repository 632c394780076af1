#include "job/mail.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/account.h"

static bool find_in(const char *dirs, const char *name, char *to, size_t size)
{
	for (size_t len; dirs && *dirs; dirs += len + (dirs[len] == ':')) {
		len = strcspn(dirs, ":");
		int n = snprintf(to, size, "%.*s/%s", (int)len, dirs, name);
		/* absolute, for it runs elsewhere, and without a letter that means something to a shell */
		if (*dirs == '/' && n > 0 && (size_t)n < size && !to[strcspn(to, " '\"\\$`;&|<>()*?[]#~\n")] &&
		    access(to, X_OK) == 0)
			return true;
	}
	return false;
}

int zn_mail_find(struct zn_mail_program *ret, struct zn_err *err)
{
	struct zn_mail_program p = { .is_sendmail = true };
	const char *path = getenv("PATH");

	if (!find_in(path, "sendmail", p.path, sizeof(p.path)) &&
	    !find_in("/usr/sbin:/usr/lib", "sendmail", p.path, sizeof(p.path))) {
		p.is_sendmail = false;
		if (!find_in(path, "mail", p.path, sizeof(p.path)))
			return zn_err_set(err, -ENOENT, "this machine can't send mail: there is neither sendmail nor mail");
	}
	*ret = p;
	return 0;
}

int zn_mail_check(const char *address, struct zn_err *err)
{
	static const char fine[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.@_+%-";

	if (!*address || *address == '-' || strlen(address) > 320 || address[strspn(address, fine)])
		return zn_err_set(err, -EBADMSG, "'%.80s' is no address", address);
	return 0;
}

const char *zn_mail_command(const struct zn_mail_program *p, const char *address, bool only_failure, struct zn_arena *a)
{
	const char *when = only_failure ? "[ \"$ZENITH_JOB_STATE\" = COMPLETED ] || " : "";
	const char *body = "printf '%s\\n' \"job $ZENITH_JOB_ID, $ZENITH_JOB_NAME, of $ZENITH_JOB_USER: $ZENITH_JOB_STATE\" "
	                   "\"${ZENITH_JOB_REASON:-no reason}\" \"exit code ${ZENITH_JOB_EXIT_CODE:-none}\"";

	if (p->is_sendmail)
		return zn_arena_printf(a, "%s{ printf '%%s\\n' 'To: %s' \"Subject: job $ZENITH_JOB_ID, $ZENITH_JOB_NAME: "
		                       "$ZENITH_JOB_STATE\" 'Content-Type: text/plain; charset=UTF-8' ''; %s; } | %s -t -i",
		                       when, address, body, p->path);
	return zn_arena_printf(a, "%s%s | %s -s \"job $ZENITH_JOB_ID, $ZENITH_JOB_NAME: $ZENITH_JOB_STATE\" '%s'", when, body,
	                       p->path, address);
}

int zn_mail_on_end(const char *address, bool only_failure, const char *then, struct zn_arena *a, const char **ret,
                   struct zn_err *err)
{
	struct zn_mail_program program;
	int rc = zn_mail_check(address, err);

	if (rc == 0)
		rc = zn_mail_find(&program, err);
	if (rc < 0)
		return rc;
	const char *mail = zn_mail_command(&program, address, only_failure, a);
	if (mail && then)
		mail = zn_arena_printf(a, "%s\n%s", mail, then);
	if (!mail)
		return -ENOMEM;
	*ret = mail;
	return 0;
}

const char *zn_mail_own_address(struct zn_arena *a)
{
	struct zn_mail_program program;
	struct zn_account me;

	if (zn_account_read(geteuid(), &me) < 0 || zn_mail_find(&program, NULL) < 0)
		return NULL;
	return zn_arena_strdup(a, me.name);
}
