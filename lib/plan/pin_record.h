/* pin_record: a pin as it is shown (zn-pin --dry-run), and the environment that goes with it. */
#ifndef ZN_PLAN_PIN_RECORD_H
#define ZN_PLAN_PIN_RECORD_H

#include "plan/plan.h"
#include "rec/field.h"

struct zn_pin_record {
	struct zn_ou64 part, pid;
	const char *cpus;
	uint32_t cores;
	struct zn_u32s numas, gpus;
	const char *mem;
	struct zn_strs command;
	const char *degraded;
	struct zn_strmap environment;
};

extern const struct zn_kind zn_pin_kind;

/* What the pin itself says: all but part, pid, command and environment.  It borrows from pin and a; -ENOMEM. */
int zn_pin_record_make(const struct zn_pin *pin, struct zn_arena *a, struct zn_pin_record *ret);

/* What of the environment is wanted, and what is there. */
struct zn_pin_env {
	bool gpus, huge;                       /* show the GPUs only; let malloc ask for huge pages */
	const char *omp_num_threads, *tunables;/* now: OMP_NUM_THREADS, GLIBC_TUNABLES, or NULL */
};

/* What to add to the environment of a command that is pinned so; -ENOMEM. */
int zn_pin_env_make(const struct zn_facts *f, const struct zn_pin *pin, const struct zn_pin_env *env,
                    struct zn_arena *a, struct zn_strmap *ret);

#endif
