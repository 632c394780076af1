/* cgroup: small files of a cgroup directory; -errno on failure. */
#ifndef ZN_PROC_CGROUP_H
#define ZN_PROC_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proc/proc.h"

int zn__cg_write(const char *dir, const char *file, const char *text);
int zn__cg_read(const char *dir, const char *file, char *to, size_t size);
/* The number in the line "key N". */
bool zn__cg_value(const char *text, const char *key, uint64_t *ret);
/* From now on nobody in the cgroup can open, or make, these character devices.  -EPERM: that takes root. */
int zn__cg_deny(int cgroup_fd, const struct zn_device *denied, size_t n);

#endif
