/* run: a pool of GPUs, or nodes, and their jobs in virtual time, decided by pick. */
#ifndef ZN_SIM_RUN_H
#define ZN_SIM_RUN_H

#include "base/arena.h"
#include "pick/gate.h"
#include "pick/hall.h"
#include "pick/pool.h"
#include "sim/times.h"
#include "zenith.h"

struct zn_sim_turn;

/* A run that was lost, as the job was preempted. */
struct zn_sim_lost {
	double start_s, end_s;
	struct zn_hall_place place;
	struct zn_sim_lost *before;   /* NULL: it was the first */
};

struct zn_sim_job {
	double submit_s, start_s, end_s;
	double duration_s;            /* at most estimate_s */
	double gpus;                  /* that it uses */
	double estimate_s;            /* when it is over at the latest, after its start */
	float size;                   /* as zn_pick_job has it */
	uint32_t payer;               /* in the payers of the run; 0: nobody */
	int64_t priority;
	struct zn_gate *array;        /* before it comes; NULL: all of it may run, or it is of none */
	struct zn_gated gated;
	struct zn_sim_turn *turn;     /* the run's, while it waits or runs */
	struct zn_use use;            /* what it counts for against quotas */
	bool preemptible;             /* it may be sent back for one of a higher priority, and loses what it did */
	uint32_t preempted;           /* so often it was: */
	struct zn_sim_lost *lost;     /* the last of them */
	struct zn_hall_place place;   /* on nodes, once it runs */
	uint32_t gang;                /* on nodes: which it is, in their hall */
	uint32_t pool;                /* the caller's: where it runs */
	size_t trace;                 /* which of the trace it is */
};

struct zn_sim_sum {
	size_t jobs;
	double wait_s, jct_s, bsld, gpu_s; /* a run that was lost is a wait */
	size_t preemptions;
	double lost_gpu_s;
	double capacity_gpu_s;        /* from the first submission to the last end */
	double first_s, last_s;
	struct zn_sim_times decisions;
};

/* Where they run: one of both. */
struct zn_sim_world { struct zn_pool *pool; struct zn_hall *hall; };

/* Runs jobs, which are in the order of their submission, to the end, and adds what came of it to *sum.  At one time
 * what ends comes first, then what is submitted, then one pass, and another one each time that somebody was preempted.  progress (may be NULL) is called now and then with
 * how many have ended.  payers (may be NULL): who is counted for the jobs.  Their places and lost runs are in arena.
 */
int zn_sim_run(struct zn_sim_job *jobs, size_t n, struct zn_sim_world world, struct zn_payers *payers, struct zn_arena *arena,
               struct zn_sim_sum *sum, void (*progress)(size_t done), struct zn_err *err);
/* For zn_hall_open. */
const struct zn_hall_place *zn_sim_place_of(const struct zn_pick_job *pick);

#endif
