/* service: what a service manager asks of a daemon that it started. */
#ifndef ZN_BASE_SERVICE_H
#define ZN_BASE_SERVICE_H

#include <stdbool.h>

#include "zenith.h"

/* Tell whoever waits behind NOTIFY_SOCKET, as systemd does for Type=notify, that we listen now.
 * 0 where nobody waits; -errno with a sentence where he can't be told.
 */
int zn_service_ready(struct zn_err *err);
/* Is fd the one that JOURNAL_STREAM names, whose lines get their time and name by themselves? */
bool zn_service_is_journal(int fd);

#endif
