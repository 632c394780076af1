/* submit: a submission becomes a job, once per key. */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "node/shepherd.h"
#include "queue/awaited.h"
#include "queue/digest.h"
#include "serve/server.h"

static int64_t append(struct zn_server *s, const struct zn_kind *kind, const void *record, struct zn_loc *ret_loc)
{
	struct zn_buf b = { 0 };
	int rc = zn_encode(kind, record, &b);
	int64_t seq = rc < 0 ? rc : zn_journal_append(s->journal, b.data, b.len, ret_loc);

	zn_buf_done(&b);
	if (seq > 0)
		s->seq = (uint64_t)seq;
	return seq;
}

/* The environment of a login without a terminal, for records that bring none. */
static int minimal_environment(uid_t uid, struct zn_arena *a, struct zn_strmap *ret)
{
	struct passwd *pw = getpwuid(uid);
	struct zn_pair *v = zn_arena_array(a, 5, sizeof(*v));

	if (!v)
		return -ENOMEM;
	const char *name = pw ? zn_arena_strdup(a, pw->pw_name) : NULL;
	size_t n = 0;
	v[n++] = (struct zn_pair){ "PATH", "/usr/local/bin:/usr/bin:/bin" };
	if (name) {
		v[n++] = (struct zn_pair){ "HOME", zn_arena_strdup(a, pw->pw_dir) };
		v[n++] = (struct zn_pair){ "USER", name };
		v[n++] = (struct zn_pair){ "LOGNAME", name };
		v[n++] = (struct zn_pair){ "SHELL", pw->pw_shell && *pw->pw_shell
		                                     ? zn_arena_strdup(a, pw->pw_shell) : "/bin/sh" };
	}
	*ret = (struct zn_strmap){ v, n };
	return 0;
}

static int env_store(struct zn_server *s, uid_t uid, const struct zn_strmap *environment, struct zn_env **ret)
{
	unsigned char id[ZN_DIGEST];
	struct zn_env *e;
	int rc = zn_env_digest(uid, environment, id);

	if (rc < 0)
		return rc;
	HASH_FIND(hh, s->jobs.envs, id, ZN_DIGEST, e);
	if (e) {
		*ret = e;
		return 0;
	}
	struct zn_memo_env m = { .id = { id, ZN_DIGEST }, .uid = uid, .environment = *environment };
	struct zn_loc loc;
	int64_t seq = append(s, &zn_memo_env_kind, &m, &loc);
	if (seq < 0)
		return (int)seq;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	memcpy(e->id, id, ZN_DIGEST);
	e->loc = loc;
	HASH_ADD(hh, s->jobs.envs, id, ZN_DIGEST, e);
	*ret = e;
	return 0;
}

/* The last one is remembered: the user database may be far away, and submits come in rows. */
const char *zn_uid_name(struct zn_server *s, uid_t uid)
{
	if (s->last_name && s->last_uid == uid && zn_now_s() - s->last_name_s < 60)
		return s->last_name;
	struct passwd *pw = getpwuid(uid);
	const char *name = pw ? pw->pw_name : zn_arena_printf(&s->arena, "%u", (unsigned)uid);
	s->last_name = name ? zn_jobs_intern(&s->jobs, name) : NULL;
	s->last_uid = uid;
	s->last_name_s = zn_now_s();
	return s->last_name;
}

/* A retry with the same key finds the first one's job. */
static int find_same(struct zn_server *s, uid_t uid, const struct zn_spec *spec, const unsigned char *digest,
                     uint64_t *ret_id, struct zn_err *err)
{
	struct zn_job *job = spec->key ? zn_jobs_get_key(&s->jobs, uid, spec->key) : NULL;

	if (!job)
		return 0;
	if (memcmp(job->digest, digest, ZN_DIGEST))
		return zn_err_set(err, -EEXIST, "key '%s' was already used for job %llu, which asks something else",
		                  spec->key, (unsigned long long)job->id);
	*ret_id = job->id;
	return 1;
}

/* The agent refuses them as well; here it is said while somebody listens. */
static int may_submit(struct zn_server *s, uid_t uid, struct zn_err *err)
{
	if (s->is_private || uid >= ZN_UID_MIN || s->conf.system_accounts)
		return 0;
	return zn_err_set(err, -EPERM, "jobs of '%s', a system account, don't run here ([queue] system_accounts in zenith.conf)",
	                  zn_uid_name(s, uid));
}

/* What the queue makes itself it must find by its keys. */
static int check_key(const struct zn_spec *spec, struct zn_err *err)
{
	if (!spec->key || (!zn_key_is_ours(spec->key, ZN_KEY_END) && !zn_key_is_ours(spec->key, ZN_KEY_NEXT)))
		return 0;
	return zn_err_set(err, -EBADMSG, "key '%s' is one that the queue gives: take another", spec->key);
}

/* Among strangers a higher priority is not for everybody: it passes all others, and may send them back. */
static int may_ask(struct zn_server *s, const struct zn_spec *spec, uid_t uid, struct zn_err *err)
{
	if (s->is_private || spec->policy.priority.v <= 0 || zn_is_operator(s, uid))
		return 0;
	return zn_err_set(err, -EPERM, "only an operator may ask a priority above 0");
}

static int room_for(struct zn_server *s, struct zn_err *err)
{
	if (zn_journal_room(s->journal) < ZN_ROOM_SUBMIT)
		return zn_err_set(err, -EAGAIN, "the disk of the spool '%s' is full, or has too little room for a queue (40 MiB): "
		                  "nothing new is accepted", s->spool);
	if (s->jobs.next_id > ZN_NUMBER_MAX)
		return zn_err_set(err, -EOVERFLOW, "the spool '%s' has no job numbers left", s->spool);
	return 0;
}

static int create(struct zn_server *s, struct zn_spec *spec, uid_t uid, gid_t gid, uint64_t requeue_of,
                  const unsigned char *digest, struct zn_job **ret)
{
	struct zn_env *env = NULL;
	struct zn_after_one missed;
	enum zn_job_state ended;
	int rc = env_store(s, uid, &spec->environment, &env);

	if (rc < 0)
		return rc;
	spec->environment = (struct zn_strmap){ 0 };
	struct zn_memo_submit m = {
		.id = s->jobs.next_id, .uid = uid, .gid = gid, .user = zn_uid_name(s, uid), .submit_s = zn_now_s(),
		.digest = { digest, ZN_DIGEST }, .env = { env->id, ZN_DIGEST }, .requeue_of = requeue_of,
		.spec = *spec,
	};
	struct zn_loc loc;
	int64_t seq = append(s, &zn_memo_submit_kind, &m, &loc);
	if (seq < 0)
		return (int)seq;
	rc = zn_memo_job(&s->jobs, &m, loc, ret);
	if (rc < 0)
		return rc;
	zn_jobs_after(&s->jobs, *ret, 0, &missed, &ended); /* none is: zn_after_may */
	(*ret)->view_seq = (uint64_t)seq;
	rc = zn_jobs_add(&s->jobs, *ret);
	if (rc < 0)
		zn_job_free(*ret);
	return rc;
}

/* The job is the process's owner's, whoever asks; 1: he has one by this key.  Machine-wide nothing is run as him that he
 * has not asked for, nor is the environment of who asks his.
 */
static int take_over(struct zn_server *s, struct zn_spec *spec, const unsigned char *digest, uid_t *uid, gid_t *gid,
                     uint64_t *ret_id, struct zn_err *err)
{
	uid_t by = *uid;
	int rc = zn_adopt_check(s, spec, by, uid, gid, err);

	if (rc < 0 || *uid == by)
		return rc;
	if (spec->on_end && !s->is_private)
		return zn_err_set(err, -EPERM, "process %llu is not yours: nothing can be run when it has ended",
		                  (unsigned long long)spec->adopt.pid.v);
	if (!s->is_private)
		spec->environment = (struct zn_strmap){ 0 };
	return find_same(s, *uid, spec, digest, ret_id, err);
}

static int take(struct zn_server *s, const struct zn_spec *asked, uid_t uid, gid_t gid, uint64_t requeue_of, bool for_us,
                uint64_t *ret_id, struct zn_err *err)
{
	unsigned char digest[ZN_DIGEST];
	struct zn_spec spec = *asked;
	struct zn_job *job = NULL;
	int rc = zn_spec_check(&spec, err);

	if (rc == 0)
		rc = may_submit(s, uid, err);
	if (rc == 0 && !for_us)
		rc = check_key(&spec, err);
	if (rc == 0 && !for_us)
		rc = may_ask(s, &spec, uid, err);
	if (rc < 0)
		return rc;
	rc = zn_spec_digest(&spec, digest);
	if (rc == 0)
		rc = find_same(s, uid, &spec, digest, ret_id, err);
	if (rc)
		return rc < 0 ? rc : 0;
	if (!spec.policy.preemptible.has && s->conf.default_preemptible && !spec.adopt.pid.has && !spec.terminal)
		spec.policy.preemptible = ZN_SOME_BOOL(true);
	rc = room_for(s, err);
	if (rc == 0)
		rc = zn_after_may(s, &spec.policy.after, err);
	if (rc == 0 && !for_us && !spec.adopt.pid.has)
		rc = zn_quota_accepts(s, &spec, uid, err);
	if (rc == 0)
		rc = zn_licence_accepts(s, &spec, err);
	if (rc == 0 && spec.adopt.pid.has)
		rc = take_over(s, &spec, digest, &uid, &gid, ret_id, err);
	if (rc)
		return rc < 0 ? rc : 0;
	if (!spec.environment.n)
		rc = minimal_environment(uid, &s->arena, &spec.environment);
	if (!spec.resources.time_limit_s.has && s->conf.default_limit_s > 0)
		spec.resources.time_limit_s = ZN_SOME_F64(s->conf.default_limit_s);
	if (rc == 0 && spec.policy.every && !for_us)
		rc = zn_every_begin(&spec, err);
	if (rc == 0 && !for_us)
		rc = zn_booking_accepts(s, &spec, uid, err);
	if (rc == -EBADMSG)
		return rc;
	if (rc == 0 && spec.policy.deadline_s.has && zn_now_s() + spec.resources.time_limit_s.v > spec.policy.deadline_s.v)
		return zn_err_set(err, -EBADMSG, spec.resources.time_limit_s.v > 0 ? "with its time limit it can't end by its deadline" :
		                  "its deadline has passed");
	if (rc == 0)
		rc = create(s, &spec, uid, gid, requeue_of, digest, &job);
	if (rc < 0)
		return zn_err_set(err, rc, "can't remember the job: %s", strerror(-rc));
	*ret_id = job->id;
	s->counts.submitted += zn_job_waiters(job);
	zn_submit_promote(s, job);
	zn_change_view(s, job, "submitted", job->submit_s);
	return spec.adopt.pid.has ? zn_adopt_place(s, job, &spec) : 0;
}

int zn_submit_take(struct zn_server *s, const struct zn_spec *asked, uid_t uid, gid_t gid, uint64_t requeue_of, bool for_us,
                   uint64_t *ret_id, struct zn_err *err)
{
	int rc = take(s, asked, uid, gid, requeue_of, for_us, ret_id, err);

	s->counts.refused += rc < 0 && !for_us;
	return rc;
}

void zn_submit_promote(struct zn_server *s, struct zn_job *job)
{
	if (job->adopted_pid) /* it has its place, or never gets it */
		return;
	if ((job->whole ? job->whole : job)->cancel) /* it is about to end */
		return;
	const char *kept = job->whole && !job->hold ? zn_array_keeps(s, job) : NULL, *booked = zn_booking_keeps(s, job);
	if (job->hold) {
		zn_job_set_text(&job->reason, "held by its owner");
	} else if (kept) {
		zn_job_set_text(&job->reason, kept);
	} else if (job->after) {
		zn_job_set_text(&job->reason, zn_after_waits(job->after, &s->arena));
	} else if (booked) {
		zn_job_set_text(&job->reason, booked);
	} else if (job->begin_s > zn_now_s()) {
		zn_job_set_text(&job->reason, "waits for its begin time");
	} else if (zn_jobs_move(&s->jobs, job, ZN_JOB_QUEUED) == 0) {
		zn_job_set_text(&job->reason, NULL);
		zn_place_soon(s);
		if (job->array)
			zn_array_wake(s, job);
		if (job->every && s->settled) /* else when it is */
			zn_every_next(s, job);
	}
	zn_times_note(s, job);
}

static int body_record(struct zn_server *s, struct zn_loc loc, const struct zn_kind *kind, void *ret,
                       struct zn_err *err)
{
	msgpack_object map;
	const char *p;
	size_t n;
	int rc = zn_journal_get(s->journal, loc, &s->arena, &p, &n);

	if (rc < 0)
		return zn_err_set(err, rc, "can't read the job's body: %s", strerror(-rc));
	rc = zn_val_unpack(p, n, 0, &s->arena, &map, err);
	return rc < 0 ? rc : zn_decode(kind, &map, &s->arena, ret, err);
}

int zn_submit_body(struct zn_server *s, const struct zn_job *job, struct zn_memo_submit *ret, struct zn_err *err)
{
	struct zn_memo_env env;
	int rc = body_record(s, job->whole ? job->whole->body : job->body, &zn_memo_submit_kind, ret, err);

	if (rc < 0 || !job->env)
		return rc;
	rc = body_record(s, job->env->loc, &zn_memo_env_kind, &env, err);
	if (rc == 0)
		ret->spec.environment = env.environment;
	return rc;
}
