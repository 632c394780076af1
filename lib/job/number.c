#include "job/number.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "rec/raw.h"

uint64_t zn_handle_of_arrival(uint64_t arrival)
{
	uint32_t last = (1u << ZN_INDEX_BITS) - 1, index = (uint32_t)arrival & last;
	uint64_t number = arrival >> ZN_INDEX_BITS;

	return index == last ? number : zn_handle(number, index);
}

const char *zn_handle_text(uint64_t handle, char to[ZN_NUMBER_TEXT])
{
	int n = snprintf(to, ZN_NUMBER_TEXT, "%llu", (unsigned long long)zn_handle_number(handle));

	if (zn_handle_is_element(handle))
		snprintf(to + n, (size_t)(ZN_NUMBER_TEXT - n), ".%u", zn_handle_index(handle));
	return to;
}

int zn_handle_parse(const char *text, uint64_t *ret)
{
	const char *dot = strchr(text, '.');
	char number[ZN_NUMBER_TEXT];
	uint64_t index;
	int n = snprintf(number, sizeof(number), "%.*s", (int)(dot ? dot - text : (ptrdiff_t)strlen(text)), text);

	if (n >= (int)sizeof(number) || zn_parse_u64(number, 1, ZN_NUMBER_MAX, ret, NULL) < 0)
		return -EINVAL;
	if (dot && zn_parse_u64(dot + 1, 0, ZN_INDEX_MAX, &index, NULL) < 0)
		return -EINVAL;
	if (dot)
		*ret = zn_handle(*ret, (uint32_t)index);
	return 0;
}

uint64_t zn_record_handle(const struct zn_job_record *job)
{
	return job->index.has ? zn_handle(job->id, (uint32_t)job->index.v) : job->id;
}

bool zn_raw_handle(struct zn_bytes job, uint64_t *ret)
{
	uint64_t index;

	if (!zn_raw_u64(zn_raw_get(job, "id"), ret) || *ret > ZN_NUMBER_MAX)
		return false;
	struct zn_bytes at = zn_raw_get(job, "index");
	if (!at.p)
		return true;
	if (!zn_raw_u64(at, &index) || index > ZN_INDEX_MAX)
		return false;
	*ret = zn_handle(*ret, (uint32_t)index);
	return true;
}
