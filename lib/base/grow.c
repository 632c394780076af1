#include "base/grow.h"

#include <stdlib.h>
#include <string.h>

bool zn_grow(void *array, uint64_t n, uint64_t *cap, size_t size)
{
	uint64_t more = *cap ? 2 * *cap : 64;
	void *v;

	if (n < *cap)
		return true;
	memcpy(&v, array, sizeof(v));
	v = reallocarray(v, more, size);
	if (!v)
		return false;
	memcpy(array, &v, sizeof(v));
	*cap = more;
	return true;
}
