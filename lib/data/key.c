#include "data/key.h"

#include <string.h>

bool zn_key_split(const char *name, size_t n, struct zn_key *ret)
{
	while (n > 2 && name[0] == '.' && name[1] == '/') {
		name += 2;
		n -= 2;
	}
	const char *slash = memrchr(name, '/', n), *base = slash ? slash + 1 : name, *end = name + n;
	const char *dot = memchr(base, '.', (size_t)(end - base));
	if (!dot || dot == base || dot + 1 == end || (end - base > 2 && base[0] == '_' && base[1] == '_'))
		return false;
	*ret = (struct zn_key){ name, dot + 1, (size_t)(dot - name), (size_t)(end - dot - 1) };
	return true;
}
