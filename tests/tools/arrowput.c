/* arrowput BATCHES ROWS [OPTION...] FIELD...: writes an Arrow stream of made-up samples to stdout.
 *
 * FIELD: NAME (bytes), NAME:DTYPE (a number) or NAME:DTYPE:D,D,... (a shape).  Byte j of field f (from 0) in row r of batch b is
 * b * 31 + r * 7 + f * 13 + j, of which the low 8 bits count; a field of bytes has (b + r) % 300 of them.
 * null=N   each Nth datum is missing: where (r + f) % N is N - 1
 * empty=N  each Nth batch, where b % N is N - 1, has no rows
 * declare  the fields are told ahead
 * The figures of the stream go to stderr: "batches N rows N bytes N writes N copied N".
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/arrow.h"

struct made {
	struct zn_arrow_field fields[16];
	struct zn_shape shapes[16];
	uint32_t n_fields, rows, null, empty, declare;
};

static uint32_t number(const char *text)
{
	return (uint32_t)strtoul(text, NULL, 10);
}

static void wrong(const char *what)
{
	fprintf(stderr, "arrowput: what is '%s'?\n", what);
	exit(64);
}

static void add_field(struct made *m, char *text)
{
	struct zn_shape *s = &m->shapes[m->n_fields];
	struct zn_arrow_field *f = &m->fields[m->n_fields++];
	char *type = strchr(text, ':'), *dims = type ? strchr(type + 1, ':') : NULL;

	f->name = text;
	if (!type)
		return;
	*type++ = '\0';
	if (dims)
		*dims++ = '\0';
	if (zn_dtype_parse(type, &s->dtype) < 0)
		wrong(type);
	for (char *d = dims; d; d = strchr(d, ',') ? strchr(d, ',') + 1 : NULL)
		s->dims[s->n_dims++] = number(d);
	f->shape = s;
}

static size_t bytes_of(const struct made *m, uint32_t f, uint64_t b, uint32_t r)
{
	return m->fields[f].shape ? zn_shape_bytes(m->fields[f].shape) : (b + r) % 300;
}


static void make_sample(const struct made *m, uint64_t b, uint32_t r, struct zn_sample *s)
{
	struct zn_datum *data = calloc(m->n_fields + 1, sizeof(*data));
	char *key = malloc(32);

	snprintf(key, 32, "%" PRIu64 "/%u", b, r);
	*s = (struct zn_sample){ .key = key, .data = data };
	for (uint32_t f = 0; f < m->n_fields; f++) {
		if (m->null && (r + f) % m->null == m->null - 1)
			continue;
		size_t n = bytes_of(m, f, b, r);
		uint8_t *p = malloc(n + 1);
		for (size_t j = 0; j < n; j++)
			p[j] = (uint8_t)(b * 31 + r * 7 + f * 13 + j);
		data[s->n++] = (struct zn_datum){ .field = m->fields[f].name, .p = p, .n = n, .shape = m->fields[f].shape };
	}
}

static void free_sample(struct zn_sample *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		free((void *)s->data[i].p);
	free((void *)s->data);
	free((void *)s->key);
}

static int put(const struct made *m, struct zn_arrow *a, uint64_t b, struct zn_err *err)
{
	struct zn_batch batch = { .epoch = b / 2, .seq = b, .n = m->empty && b % m->empty == m->empty - 1 ? 0 : m->rows };
	struct zn_sample *samples = calloc(batch.n + 1, sizeof(*samples));

	for (uint32_t r = 0; r < batch.n; r++)
		make_sample(m, b, r, &samples[r]);
	batch.samples = samples;
	int rc = zn_arrow_write(a, &batch, err);
	for (uint32_t r = 0; r < batch.n; r++)
		free_sample(&samples[r]);
	free(samples);
	return rc;
}

int main(int argc, char **argv)
{
	struct made m = { 0 };
	struct zn_arrow *a;
	struct zn_err err = { .text = "" };

	if (argc < 3)
		wrong("nothing");
	m.rows = number(argv[2]);
	for (int i = 3; i < argc; i++)
		if (!strncmp(argv[i], "null=", 5))
			m.null = number(argv[i] + 5);
		else if (!strncmp(argv[i], "empty=", 6))
			m.empty = number(argv[i] + 6);
		else if (!strcmp(argv[i], "declare"))
			m.declare = 1;
		else if (m.n_fields < 16)
			add_field(&m, argv[i]);
	struct zn_arrow_opts opts = { .fields = m.fields, .n_fields = m.declare ? m.n_fields : 0 };
	int rc = zn_arrow_new(STDOUT_FILENO, &opts, &a, &err);
	for (uint32_t b = 0; rc == 0 && b < number(argv[1]); b++)
		rc = put(&m, a, b, &err);
	if (rc == 0)
		rc = zn_arrow_end(a, &err);
	if (rc < 0)
		return fprintf(stderr, "arrowput: %s\n", err.text), 1;
	const struct zn_arrow_stats *s = zn_arrow_stats_get(a);
	fprintf(stderr, "batches %" PRIu64 " rows %" PRIu64 " bytes %" PRIu64 " writes %" PRIu64 " copied %" PRIu64 "\n",
	        s->batches, s->rows, s->bytes, s->writes, s->copied_bytes);
	zn_arrow_free(a);
	return 0;
}
