#include "audit/audit.h"

static long find(const struct zn_audit_process *v, size_t n, pid_t pid)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].pid == pid)
			return (long)i;
	return -1;
}

/* A child that was given what its parent was given belongs to it. */
static bool is_first_of_job(const struct zn_audit_process *v, size_t n, size_t i)
{
	long up = find(v, n, v[i].ppid);

	return v[i].job && !zn_idset_is_empty(&v[i].given) &&
	       (up < 0 || v[up].job != v[i].job || !zn_idset_equal(&v[up].given, &v[i].given));
}

/* The nearest holder at or above i.  Parents that form a circle (pids were used again while we looked) end the
 * walk after n steps.
 */
static long holder_above(const struct zn_audit_process *v, size_t n, size_t i)
{
	long at = (long)i;

	for (size_t step = 0; at >= 0 && step <= n; step++) {
		if (v[at].is_holder)
			return at;
		at = find(v, n, v[at].ppid);
	}
	return -1;
}

/* The driver knows better who holds a GPU than the environment, which only says who was given one. */
static bool has_user_below(const struct zn_audit_process *v, size_t n, size_t root)
{
	for (size_t i = 0; i < n; i++) {
		long at = (long)i;
		if (zn_idset_is_empty(&v[i].used))
			continue;
		for (size_t step = 0; at >= 0 && step <= n; step++) {
			if (at == (long)root)
				return true;
			at = find(v, n, v[at].ppid);
		}
	}
	return false;
}

void zn_audit_find_holders(struct zn_audit_process *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		v[i].is_holder = !zn_idset_is_empty(&v[i].used) ||
		                 (is_first_of_job(v, n, i) && !has_user_below(v, n, i));
	for (size_t i = 0; i < n; i++)
		v[i].owner = holder_above(v, n, i);
}
