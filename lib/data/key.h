/* key: which sample a file belongs to, and as what, by its name; as WebDataset has it.
 *
 * The key is the path up to the first dot of the last part, the field what follows, in lower case: "train/0/12.seg.PNG" is the
 * field "seg.png" of "train/0/12".  A leading "./" is not of the key.
 */
#ifndef ZN_DATA_KEY_H
#define ZN_DATA_KEY_H

#include <stdbool.h>
#include <stddef.h>

struct zn_key {
	const char *key, *field;       /* borrowed from the name; field not in lower case yet */
	size_t key_len, field_len;
};

/* False: the name has no field, or no key, or is one of WebDataset's own ("__index__"): it belongs to no sample. */
bool zn_key_split(const char *name, size_t n, struct zn_key *ret);

#endif
