/* clock: the three clocks we use. */
#ifndef ZN_BASE_CLOCK_H
#define ZN_BASE_CLOCK_H

#include <stdint.h>

double zn_now_s(void);      /* seconds since the epoch; may jump: for records, never for limits */
uint64_t zn_boot_ns(void);  /* CLOCK_BOOTTIME: runs during suspend, never jumps: for limits */
/* The kernel's boot_id: the same text means that no reboot lies between.  "" where it can't be read. */
enum { ZN_BOOT_ID = 37 };
void zn_boot_id(char to[ZN_BOOT_ID]);

#endif
