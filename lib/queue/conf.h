/* conf: the configuration, an INI file.  zn-schedd --config FILE, else ZENITH_CONFIG, else the user's
 * ${XDG_CONFIG_HOME:-~/.config}/zenith/zenith.conf, else /etc/zenith/zenith.conf; none at all is fine.
 *
 *   [queue]   default_time_limit = 2h     for jobs without one (0: none)
 *             reservations = 1            how many of the first in line have one, which no backfill delays
 *             default_preemptible = no    may jobs that don't say be sent back to the queue for more urgent ones?
 *             grace = 30s                 between SIGTERM and SIGKILL
 *             silence = 30s               an agent that does not answer for so long is taken to be down (0: never)
 *             lost = 5m                   one of several nodes that is down for so long has lost its jobs (0: never)
 *             history = 30d               how long ended jobs, their output paths and keys are kept
 *             idle_exit = 1h              a started-on-demand zn-schedd goes away after this (0: never)
 *             autostart = yes             may zn-submit start zn-schedd?
 *             on_finish = COMMAND         run by /bin/sh when a job has ended
 *             share_between_users = no    may parts of one GPU be several users'?
 *             system_accounts = no        machine-wide: may root and accounts below 1000 submit?
 *   [operators]  users = ann, bob
 *   [quota user:ann], [quota user:*], [quota account:vision]
 *             running, queued, gpus, cpus = number; mem = size; gpu_hours = number in window = 7d
 *             soft_running and the like   the same, before a job is over the quota
 *   [order]   estimate = 1, size = 0.5, fair_share = 1      how much it minds these beside the wait, from 0 to 4
 *   [licences] matlab = 5               how many there are, of any name
 *   [fair_share] half_life = 7d         of what was used; 0: there is none
 *   [share user:ann], [share account:vision]
 *             shares = 1
 *   [metrics] listen = 127.0.0.1:9464   where they are served, for Prometheus
 *             anywhere = no             may that be an address that others reach?
 *             textfile = /PATH.prom     a file of them, for node_exporter
 */
#ifndef ZN_QUEUE_CONF_H
#define ZN_QUEUE_CONF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "job/licences.h"
#include "pick/line.h"
#include "quota/quota.h"
#include "zenith.h"

struct zn_conf {
	struct zn_arena arena;
	double default_limit_s, grace_s, silence_s, lost_s, history_s, idle_exit_s;
	bool autostart, system_accounts, default_preemptible, share_between_users;
	uint64_t reservations;
	struct zn_pick_weights weights;
	const char *on_finish;      /* NULL: none */
	const char *metrics_listen, *metrics_textfile; /* NULL: none */
	bool metrics_anywhere;
	const char *operators;      /* comma-separated, NULL: none */
	struct zn_quotas quotas;
	struct zn_shares shares;
	struct zn_licence_record *licences;
	size_t n_licences;
};

/* -EINVAL with file and line for an unknown section, key or value. */
int zn_conf_read(const char *file, struct zn_conf *ret, struct zn_err *err);
void zn_conf_done(struct zn_conf *conf);
bool zn_conf_is_operator(const struct zn_conf *conf, const char *user);
/* The path of a program of ours: beside the running one if it is there, else the bare name for PATH. */
void zn_program_beside(const char *name, char *path, size_t size);

#endif
