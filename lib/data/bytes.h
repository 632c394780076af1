/* bytes: what can be read from its beginning, whoever has it: a file as it is, or what is unpacked. */
#ifndef ZN_DATA_BYTES_H
#define ZN_DATA_BYTES_H

#include <sys/types.h>

struct zn__bytes {
	/* The next ones, borrowed until the next call: how many; 0: it is over; -errno, then and from then on. */
	ssize_t (*next)(void *arg, const void **ret);
	off_t (*seek)(void *arg, off_t to, int whence); /* as lseek; NULL: it can't */
	void *arg;
	const char *why;               /* where a failure's reason lies */
};

#endif
