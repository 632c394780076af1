#include "job/number.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "job/spans.h"
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

bool zn_record_has_element(const struct zn_job_record *r, uint32_t index)
{
	const char *list = r->array ? r->array : r->array_never;
	struct zn_spans spans;
	uint32_t at_once;

	if (!list || zn_spans_parse(list, &spans, &at_once, NULL) < 0)
		return false;
	bool has = zn_spans_has(&spans, index);
	zn_spans_done(&spans);
	return has;
}

uint32_t zn_record_at_once(const struct zn_job_record *r)
{
	const char *mark = r->array ? strchr(r->array, '%') : NULL;
	uint64_t n = r->at_once.has ? r->at_once.v : 0;

	if (mark && zn_parse_u64(mark + 1, 1, UINT32_MAX, &n, NULL) < 0)
		return 0;
	return n < UINT32_MAX ? (uint32_t)n : 0;
}

void zn_record_of_element(struct zn_job_record *r, uint32_t index)
{
	uint32_t at_once = zn_record_at_once(r);

	r->index = ZN_SOME_U64(index);
	r->at_once = (struct zn_ou64){ .has = at_once > 0, .v = at_once };
	r->array = NULL;
	r->elements = r->elements_completed = r->elements_failed = r->elements_cancelled = (struct zn_ou64){ 0 };
	if (r->array_never)
		r->state = "CANCELLED";
	r->array_never = NULL;
	r->exit_code = (struct zn_oi64){ 0 };
	r->signal = NULL;
	r->key = NULL;
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
