/* state: one device, what it is and what it does now, and the records of that. */
#ifndef ZN_GPU_STATE_H
#define ZN_GPU_STATE_H

#include "gpu/meter.h"

struct zn_gpu_holder {            /* a process that uses the device, and whose it is */
	uint32_t pid;
	struct zn_ou64 job;
	struct zn_ou64 mem_bytes;
	const char *user, *command;
};

struct zn_gpu_state {
	struct zn_gpu gpu;            /* users are left out: see holders */
	struct zn_gpu_sample now;     /* the same */
	struct zn_list holders;       /* struct zn_gpu_holder */
	struct zn_strs held_by;       /* each user once, with the jobs: "ann (job 12)" */
	bool is_mock, is_sampled;     /* made up; a driver was asked for now */
	bool has_backend;             /* its maker is one whose driver we can ask */
	bool others_answer;           /* the driver tells of other devices of its maker */
	bool sees_all;                /* the process numbers that a driver tells are those that we see */
	const char *note;             /* why a driver that is there could not be asked, or NULL */
};

/* A device was lost, or has come back. */
struct zn_gpu_event {
	double time_s;
	const char *event;            /* "lost", "back" */
	uint32_t gpu;
	const char *uuid, *pci, *reason;
};

/* struct zn_gpu_state: "gpu" has all of it, "sample" what changes; and struct zn_gpu_event. */
extern const struct zn_kind zn_gpu_now_kind, zn_gpu_sample_kind, zn_gpu_event_kind;

/* The driver's word of a device beside what was known of it; fills gpu. */
void zn_gpu_state_join(struct zn_gpu_state *st, const struct zn_gpu_sample *now);
/* True when *is_lost is not what st says: then it is, and *ret, which borrows from st, tells. */
bool zn_gpu_state_turned(const struct zn_gpu_state *st, bool *is_lost, struct zn_gpu_event *ret);
/* Fills held_by from holders.  -ENOMEM. */
int zn_gpu_state_name_holders(struct zn_gpu_state *st, struct zn_arena *a);

#endif
