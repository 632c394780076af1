/* zenith.h as a program of somebody else would use it: only its calls, and msgpack-c for the records. */
#include <errno.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"
#include "zenith.h"

static void put_text(msgpack_packer *pk, const char *text)
{
	msgpack_pack_str_with_body(pk, text, strlen(text));
}

/* {command: "/bin/sh", arguments: ["-c", script], output: "/dev/null", key: key} */
static void pack_job(msgpack_sbuffer *b, const char *script, const char *key)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, b, msgpack_sbuffer_write);
	msgpack_pack_map(&pk, 4);
	put_text(&pk, "command");
	put_text(&pk, "/bin/sh");
	put_text(&pk, "arguments");
	msgpack_pack_array(&pk, 2);
	put_text(&pk, "-c");
	put_text(&pk, script);
	put_text(&pk, "output");
	put_text(&pk, "/dev/null");
	put_text(&pk, "key");
	put_text(&pk, key);
}

static const msgpack_object *get(const msgpack_object *map, const char *key)
{
	for (uint32_t i = 0; i < map->via.map.size; i++) {
		const msgpack_object *k = &map->via.map.ptr[i].key;
		if (k->via.str.size == strlen(key) && !memcmp(k->via.str.ptr, key, k->via.str.size))
			return &map->via.map.ptr[i].val;
	}
	return NULL;
}

static int count_kind(const void *p, size_t n, const char *kind)
{
	msgpack_unpacked u;
	size_t at = 0;
	int count = 0;

	msgpack_unpacked_init(&u);
	while (msgpack_unpack_next(&u, p, n, &at) == MSGPACK_UNPACK_SUCCESS) {
		const msgpack_object *k = get(&u.data, "kind");
		count += k && k->via.str.size == strlen(kind) && !memcmp(k->via.str.ptr, kind, strlen(kind));
	}
	msgpack_unpacked_destroy(&u);
	return count;
}

static int64_t exit_code(const void *p, size_t n)
{
	msgpack_unpacked u;
	size_t at = 0;
	int64_t code = -1;

	msgpack_unpacked_init(&u);
	if (msgpack_unpack_next(&u, p, n, &at) == MSGPACK_UNPACK_SUCCESS && get(&u.data, "exit_code"))
		code = get(&u.data, "exit_code")->via.i64;
	msgpack_unpacked_destroy(&u);
	return code;
}

static void machine(void)
{
	struct zn_err err = { "" };
	void *p = NULL;
	size_t n;

	setenv("ZENITH_MOCK_GPUS", "4", 1);
	int rc = zn_machine_records(NULL, &p, &n, &err);
	tap_ok(rc == 0 && count_kind(p, n, "machine") == 1, "this machine is one machine record %s", err.text);
	tap_ok(rc == 0 && count_kind(p, n, "gpu") == 4, "ZENITH_MOCK_GPUS=4 gives four gpu records");
	free(p);
	p = NULL;
	rc = zn_machine_records("/nonexistent/file", &p, &n, &err);
	tap_ok(rc < 0 && err.text[0] && !p, "a file that is not there is a sentence: %s", err.text);
}

static void queue(void)
{
	struct zn_err err = { "" };
	msgpack_sbuffer b, other;
	uint64_t id = 0, again = 0;
	void *p = NULL;
	size_t n = 0;

	msgpack_sbuffer_init(&b);
	msgpack_sbuffer_init(&other);
	pack_job(&b, "exit 7", "api-1");
	pack_job(&other, "exit 8", "api-1");
	int rc = zn_queue_records(NULL, &p, &n, &err);
	tap_ok(rc == 0 && n == 0, "a spool that was never used is an empty queue %s", err.text);
	rc = zn_job_submit(NULL, b.data, b.size, &id, &err);
	tap_ok(rc == 0 && id == 1, "a submission starts the scheduler and gets a number %s", err.text);
	rc = zn_job_submit(NULL, b.data, b.size, &again, &err);
	tap_ok(rc == 0 && again == id, "the same key again is the same job");
	rc = zn_job_submit(NULL, other.data, other.size, &again, &err);
	tap_ok(rc == -EBADMSG, "the same key for something else is refused: %s", err.text);
	rc = zn_job_submit(NULL, b.data, b.size - 1, &again, &err);
	tap_ok(rc == -EBADMSG, "a cut record is refused: %s", err.text);
	free(p);
	p = NULL;
	rc = zn_job_wait(NULL, id, 30, &p, &n, &err);
	tap_ok(rc == 0 && exit_code(p, n) == 7, "waiting gives the job record with its exit code %s", err.text);
	free(p);
	rc = zn_job_cancel(NULL, id, &err);
	tap_ok(rc == -ENOENT, "a job that has ended can't be cancelled: %s", err.text);
	rc = zn_job_wait(NULL, 99, 1, &p, &n, &err);
	tap_ok(rc == -ENOENT, "a job that never was can't be waited for: %s", err.text);
	msgpack_sbuffer_destroy(&b);
	msgpack_sbuffer_destroy(&other);
}

int main(void)
{
	char spool[] = "/tmp/zn-api.XXXXXX", command[256];

	if (!mkdtemp(spool))
		return 71;
	setenv("ZENITH_SPOOL", spool, 1);
	
	machine();
	queue();
	snprintf(command, sizeof(command), "zn-schedd --stop && rm -rf '%s'", spool);
	tap_ok(system(command) == 0, "the scheduler stops when told");
	return tap_done();
}
