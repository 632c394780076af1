/* selector: which labels are wanted, as text; all of its parts must hold:
 *
 *     gold, ib            there is such a label, whatever its value
 *     !slow               there is none
 *     tier=gold           it has that value
 *     tier!=gold          it has another one, or is not there
 *
 * separated by commas, as a label selector of Kubernetes has them.  Labels and values are 1 to 63 letters, digits, '-', '_' and '.';
 * a value may be empty, and then stands for a label without one.
 */
#ifndef ZN_REC_SELECTOR_H
#define ZN_REC_SELECTOR_H

#include "rec/field.h"

enum { ZN_LABEL_MAX = 63, ZN_SELECTOR_MAX = 1024 };

bool zn_label_is_good(const char *name, size_t n);
/* -EBADMSG: which part of it is none. */
int zn_selector_check(const char *text, struct zn_err *err);
/* Of one that was checked: the first part that these labels do not have, as it is in text, and its length; NULL: they have all. */
const char *zn_selector_lacks(const char *text, const struct zn_strmap *labels, size_t *ret_len);

#endif
