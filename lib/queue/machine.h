/* machine: this machine's facts for a program that only looks: zn-topo is asked, so that hwloc, which takes longer
 * to load than a submit takes, is linked by those alone who place processes.
 */
#ifndef ZN_QUEUE_MACHINE_H
#define ZN_QUEUE_MACHINE_H

#include "job/record.h"
#include "plan/facts.h"

/* What zn-topo says; it tells standard error itself why it fails. */
int zn_machine_ask(struct zn_facts **ret, struct zn_err *err);
/* Adds how busy the node is, for which it sleeps a tenth of a second, if it is this machine: the others are measured
 * where they are.
 */
void zn_machine_measure(struct zn_node_record *node);

#endif
