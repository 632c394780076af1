#include <string.h>
#include <time.h>
#include <unistd.h>

#include "queue/machine.h"
#include "usage/usage.h"

void zn_machine_measure(struct zn_node_record *node)
{
	const struct timespec tenth = { .tv_nsec = 100000000 };
	struct zn_cpu_times a, b;
	char host[256] = "";

	gethostname(host, sizeof(host) - 1);
	if (!node->hostname || strcmp(node->hostname, host) || zn_cpu_times_read("", &a) < 0)
		return;
	nanosleep(&tenth, NULL);
	if (zn_cpu_times_read("", &b) == 0)
		node->cpu_utilization_pct = ZN_SOME_F64(zn_cpu_busy_pct(&a, &b));
	uint64_t available;
	if (zn_mem_available_read("", &available) == 0)
		node->mem_available_bytes = ZN_SOME_U64(available);
}
