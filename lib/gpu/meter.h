/* meter: what the devices do now, asked again and again with the drivers held open.
 *
 * What a driver does not say is absent.  "Kernel-active" is what nvidia-smi calls utilisation: the share of time in
 * which some kernel ran, on however little of the device.
 */
#ifndef ZN_GPU_METER_H
#define ZN_GPU_METER_H

#include "gpu/gpu.h"

struct zn_gpu_part {              /* a MIG instance */
	uint32_t part;
	const char *uuid, *name;
	struct zn_ou64 mem_bytes, mem_used_bytes;
};

struct zn_gpu_sample {
	double time_s;                /* seconds since the epoch */
	uint32_t gpu;                 /* set by who knows all devices; 0 before */
	const char *uuid, *name, *pci, *vendor, *driver;
	const char *lost;             /* why the driver does not answer for it any more; then all that follows is absent */

	/* percent of the time since the last sample, or of the driver's own last moment: 0 to 100 */
	struct zn_of64 kernel_active_pct, mem_active_pct, sm_pct, tensor_pct, dram_pct;
	struct zn_ou64 mem_bytes, mem_used_bytes;
	struct zn_of64 power_w, power_limit_w;
	struct zn_ou64 temperature_c, temperature_slowdown_c, fan_pct;
	struct zn_ou64 clock_mhz, clock_max_mhz, mem_clock_mhz;
	struct zn_strs throttle_reasons; /* nvidia-smi's words: "sw_power_cap" */

	struct zn_obool ecc;
	struct zn_ou64 ecc_corrected, ecc_uncorrected; /* since the driver was loaded */
	struct zn_obool repair_pending, repair_failed; /* of memory rows or pages, at the next reset */

	struct zn_ou64 pcie_gen_now, pcie_width_now, pcie_gen, pcie_width; /* of device and slot together at most */
	struct zn_ou64 nvlinks, nvlinks_of;            /* up, and there are */
	/* since the last sample */
	struct zn_ou64 pcie_rx_bytes_s, pcie_tx_bytes_s, nvlink_rx_bytes_s, nvlink_tx_bytes_s;

	struct zn_obool mig;
	struct zn_list parts;         /* struct zn_gpu_part */
	struct zn_list users;         /* struct zn_gpu_user */
	bool users_known;             /* the driver told all of them, may be none */
};

struct zn_gpu_meter;

/* Opens the drivers that are there; none is success.  root: "" for this machine, else a directory in place of / for
 * what is read from files; NVIDIA's driver is asked with "" alone.  -ENOMEM.
 */
int zn_gpu_meter_open(const char *root, struct zn_gpu_meter **ret, struct zn_err *err);
/* Why a driver that is there can't be asked, or NULL; lives as long as the meter. */
const char *zn_gpu_meter_note(const struct zn_gpu_meter *m);
/* Whether the first sample lacks figures that the second will have. */
bool zn_gpu_meter_wants_two(const struct zn_gpu_meter *m);
/* One sample of each device, vendor by vendor in PCI order; all of *ret lives in a.  -ENOMEM. */
int zn_gpu_meter_read(struct zn_gpu_meter *m, struct zn_arena *a, struct zn_list *ret, struct zn_err *err);
void zn_gpu_meter_close(struct zn_gpu_meter *m);

#endif
