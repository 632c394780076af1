/* show: records as text for a person to read, where a table row is too little. */
#ifndef ZN_SHOW_SHOW_H
#define ZN_SHOW_SHOW_H

#include "base/buf.h"
#include "job/record.h"
#include "queue/blame.h"
#include "queue/picture.h"

/* All that is known of a job, a line each.  Control bytes of what users wrote come out as \xNN. */
void zn_show_job(const struct zn_job_record *job, struct zn_buf *to);
/* What its wait was made of. */
void zn_show_blame(const struct zn_blame *blame, struct zn_buf *to);
/* Why a job is where it is. */
void zn_show_why(const struct zn_explained *why, struct zn_buf *to);

#endif
