#include "base/account.h"

#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>

static int find(FILE *f, uid_t uid, struct zn_account *ret)
{
	char text[8192];
	struct passwd pw, *found;

	while (fgetpwent_r(f, &pw, text, sizeof(text), &found) == 0)
		if (pw.pw_uid == uid) {
			snprintf(ret->name, sizeof(ret->name), "%s", pw.pw_name);
			snprintf(ret->home, sizeof(ret->home), "%s", pw.pw_dir);
			return 0;
		}
	return -ENOENT;
}

static int ask_getent(uid_t uid, struct zn_account *ret)
{
	char command[64];

	snprintf(command, sizeof(command), "getent passwd %u 2>/dev/null", (unsigned)uid);
	FILE *f = popen(command, "re");
	int rc = f ? find(f, uid, ret) : -errno;
	if (f)
		pclose(f);
	return rc;
}

int zn_account_read(uid_t uid, struct zn_account *ret)
{
	FILE *f = fopen("/etc/passwd", "re");
	int rc = f ? find(f, uid, ret) : -ENOENT;

	if (f)
		fclose(f);
	return rc == 0 ? 0 : ask_getent(uid, ret);
}
