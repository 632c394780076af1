/* crossing SPOOL N: submits N jobs that would run for long over one connection and cancels each over another one
 * before its number is known, so that cancels meet jobs which are placed but not yet begun.
 */
#include <stdio.h>
#include <stdlib.h>

#include "queue/client.h"

static struct zn_err err;

static void must(int rc)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "crossing: %s\n", err.text);
	exit(1);
}

int main(int argc, char **argv)
{
	struct zn_client *one, *two;
	struct zn_reply reply;
	char key[32];
	const char *arguments[] = { "300" };
	int cancelled = 0, n = argc > 2 ? atoi(argv[2]) : 0;

	if (argc != 3)
		return 64;
	must(zn_client_open(argv[1], false, &one, &err));
	must(zn_client_open(argv[1], false, &two, &err));
	for (int i = 0; i < n; i++) {
		struct zn_request submit = { .op = "submit", .job = { .key = key, .command = "sleep", .directory = "/",
			.output = "/dev/null", .arguments = { arguments, 1 } } };
		struct zn_request cancel = { .op = "cancel", .key = key };
		snprintf(key, sizeof(key), "crossing-%d", i);
		must(zn_client_send(one, &submit, &err));
		must(zn_client_flush(one, &err));
		must(zn_client_send(two, &cancel, &err));
		must(zn_client_wait(two, 10000, &reply, &err));
		cancelled += reply.ok;
		bool missed = !reply.ok;
		must(zn_client_wait(one, 10000, &reply, &err));
		if (!missed)
			continue;
		must(zn_client_send(two, &cancel, &err)); /* it came before its job */
		must(zn_client_wait(two, 10000, &reply, &err));
	}
	printf("%d\n", cancelled);
	zn_client_close(one);
	zn_client_close(two);
	return 0;
}
