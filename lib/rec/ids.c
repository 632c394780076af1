#include "rec/ids.h"

#include <errno.h>

const char *zn_ids_text(const struct zn_idset *s, struct zn_arena *a)
{
	size_t n = zn_idset_format(s, NULL, 0) + 1;
	char *text = zn_arena_alloc(a, n);

	if (text)
		zn_idset_format(s, text, n);
	return text;
}

int zn_ids_numbers(const struct zn_idset *s, struct zn_arena *a, struct zn_u32s *ret)
{
	struct zn_u32s list = { .v = zn_arena_array(a, zn_idset_count(s) + 1, sizeof(uint32_t)) };

	if (!list.v)
		return -ENOMEM;
	zn_idset_each(id, s)
		list.v[list.n++] = (uint32_t)id;
	*ret = list;
	return 0;
}
