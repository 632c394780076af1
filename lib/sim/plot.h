/* plot: a run over time as a picture for a person: how many jobs waited, how much of the GPUs was used, and how long those
 * waited who came then.  SVG, with nothing but text and paths.
 */
#ifndef ZN_SIM_PLOT_H
#define ZN_SIM_PLOT_H

#include "sim/run.h"

/* The file appears whole or not at all.  -ENOMEM, or what the system said. */
int zn_plot_write(const char *path, const struct zn_sim_job *jobs, size_t n, double gpus, const char *title, const char *subtitle,
                  struct zn_err *err);

#endif
