/* number: how jobs are called.  A job has a number; an element of an array has that of its array and an index, "12.3".
 * Inside a program one uint64_t, the *handle*, stands for either: the number, with the index + 1 of an element above it.
 */
#ifndef ZN_JOB_NUMBER_H
#define ZN_JOB_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "job/record.h"
#include "zenith.h"

enum {
	ZN_NUMBER_BITS = 40,
	ZN_INDEX_BITS = 24,            /* what is left: indices are 0 to 2^24 - 2 */
	ZN_NUMBER_TEXT = 32,
};
#define ZN_NUMBER_MAX ((UINT64_C(1) << ZN_NUMBER_BITS) - 1)
#define ZN_INDEX_MAX ((1u << ZN_INDEX_BITS) - 2)

static inline uint64_t zn_handle(uint64_t number, uint32_t index)
{
	return number | (uint64_t)(index + 1) << ZN_NUMBER_BITS;
}

static inline uint64_t zn_handle_number(uint64_t handle)
{
	return handle & ZN_NUMBER_MAX;
}

static inline bool zn_handle_is_element(uint64_t handle)
{
	return handle >> ZN_NUMBER_BITS;
}

/* Of an element. */
static inline uint32_t zn_handle_index(uint64_t handle)
{
	return (uint32_t)(handle >> ZN_NUMBER_BITS) - 1;
}

/* A number in the order of arrival, unique too: the elements of an array, by index, just before the array. */
static inline uint64_t zn_handle_arrival(uint64_t handle)
{
	uint32_t last = (1u << ZN_INDEX_BITS) - 1;

	return zn_handle_number(handle) << ZN_INDEX_BITS | (zn_handle_is_element(handle) ? zn_handle_index(handle) : last);
}

uint64_t zn_handle_of_arrival(uint64_t arrival);
/* "12" or "12.3" */
const char *zn_handle_text(uint64_t handle, char to[ZN_NUMBER_TEXT]);
int zn_handle_parse(const char *text, uint64_t *ret);      /* -EINVAL */
uint64_t zn_record_handle(const struct zn_job_record *job);
/* Of an array, or an element of one: how many of it may run at once; 0: all. */
uint32_t zn_record_at_once(const struct zn_job_record *job);
/* The record of an array becomes that of an element, which waits with the others, or never begins. */
void zn_record_of_element(struct zn_job_record *array, uint32_t index);
/* Whether that element of an array waits with the others, or never begins. */
bool zn_record_has_element(const struct zn_job_record *array, uint32_t index);
/* Of a job record as it is written.  False: it names none. */
bool zn_raw_handle(struct zn_bytes job, uint64_t *ret);

#endif
