/* What the files of this room share. */
#ifndef ZN_QUOTA_PRIV_H
#define ZN_QUOTA_PRIV_H

#include "quota/quota.h"

#define zn__each_owner(o, p, payer) \
	for (int i_ = 0; i_ < 2; i_++) \
		for (struct zn_owner *o = (payer) ? (p)->v[(payer) - 1].owner[i_] : NULL; o; o = NULL)

enum { ZN__OWNER_TEXT = 256 };     /* "account " and a name of a job, which is shorter */

/* His own, else that of each; NULL: there is none. */
const struct zn_quota *zn__quota_of(const struct zn_quotas *q, const char *of, const char *name);
bool zn__quota_has_soft(const struct zn_quota *q);
struct zn_use zn__use_minus(const struct zn_use *a, const struct zn_use *b);
/* What an owner has too little of for use, up to those limits. */
enum zn_scarce zn__owner_lacks(struct zn_owner *o, enum zn_quota_level level, const struct zn_use *use, double now_s);

#endif
