/* login: the limits that the system gives a user who logs in (limits.conf, its directory, and what else an
 * administrator put into the service "zenith"), by way of PAM.
 */
#include "proc/login.h"

#include <security/pam_appl.h>
#include <stddef.h>
#include <unistd.h>

static const char service[] = "zenith", service_file[] = "/etc/pam.d/zenith";

/* Nobody is there to answer, and nobody to be told. */
static int converse(int n, const struct pam_message **asked, struct pam_response **ret, void *arg)
{
	(void)n;
	(void)asked;
	(void)ret;
	(void)arg;
	return PAM_CONV_ERR;
}

int zn__login_limits(const char *user)
{
	static const struct pam_conv conv = { .conv = converse };
	pam_handle_t *pam = NULL;

	/* without a file of its own PAM would take that of "other", which refuses */
	if (access(service_file, F_OK) < 0)
		return 0;
	int rc = pam_start(service, user, &conv, &pam);
	if (rc == PAM_SUCCESS)
		rc = pam_open_session(pam, PAM_SILENT);
	/* no session is closed: what a limits module did is the process's own and goes with it */
	if (pam)
		pam_end(pam, rc);
	return rc == PAM_SUCCESS ? 0 : -1;
}
