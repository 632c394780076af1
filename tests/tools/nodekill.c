/* nodekill SPOOL ROUNDS SEED: kills zn-noded with SIGKILL at random instants while jobs start and end, and holds
 * what the agents report against what the jobs wrote.  The scheduler that it plays sends a start again when it
 * never heard of it, as zn-schedd does.
 *
 * Each job writes its number into SPOOL/ran and exits with a code that follows from the number.  In the end every
 * job has exactly one exit, with that code or a reason that begins "lost"; none ran twice; every one that ran is
 * accounted for.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "node/node.h"
#include "node/proto.h"
#include "rec/frame.h"
#include "rec/val.h"

enum { JOBS_MAX = 100000, OUTSTANDING = 6 };

static struct { bool sent, started, exited, lost, listed; uint64_t exit_seq; } jobs[JOBS_MAX];
static unsigned n_jobs, n_out, exits, losts, resent;
static const char *spool;
static int fd = -1;
static pid_t agent;
static bool settled;
static struct zn_buf in;

static _Noreturn void die(const char *what, unsigned job)
{
	printf("nodekill: %s (job %u)\n", what, job);
	if (agent > 0)
		kill(agent, SIGKILL);
	exit(1);
}

static void send_msg(const struct zn_kind *kind, const void *m)
{
	struct zn_buf b = { 0 };

	zn_msg_put(&b, 0, 9, kind, m);
	if (send(fd, b.data, b.len, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
		die(strerror(errno), 0);
	zn_buf_done(&b);
}

static int code_of(unsigned job)
{
	return (int)(job % 7);
}

static void send_start(unsigned job)
{
	char text[256];
	const char *args[] = { "-c", text };
	struct zn_msg_start m = { .job = job, .attempt = 1, .command = "/bin/sh", .arguments = { args, 2 },
	                          .directory = spool, .output = "/dev/null", .tasks = 1, .grace_s = 1 };

	snprintf(text, sizeof(text), "echo %u >>ran; %s; exit %d", job, job % 3 ? ":" : "sleep 0.02", code_of(job));
	send_msg(&zn_msg_start_kind, &m);
	jobs[job].sent = true;
}

static void take_exit(unsigned job, const struct zn_msg_report *r)
{
	if (jobs[job].exited && jobs[job].exit_seq != r->seq)
		die("two exits", job);
	if (jobs[job].exited)
		return;
	jobs[job].exited = true;
	jobs[job].exit_seq = r->seq;
	n_out--;
	exits++;
	if (r->reason && strncmp(r->reason, "lost", 4) == 0) {
		jobs[job].lost = true;
		losts++;
	} else if (r->reason || !r->exit_code.has || r->exit_code.v != code_of(job)) {
		die(r->reason ? r->reason : "a wrong exit code", job);
	}
}

static void take_report(const struct zn_msg_report *r)
{
	unsigned job = (unsigned)r->job;
	struct zn_msg_ack ack = { .seq = r->seq };

	if (job >= JOBS_MAX || !jobs[job].sent)
		die("a report of a job that was never sent", job);
	if (strcmp(r->what, "started") == 0)
		jobs[job].started = true;
	else if (strcmp(r->what, "exited") == 0)
		take_exit(job, r);
	else
		die(r->reason ? r->reason : "refused", job);
	if (rand() % 2)
		send_msg(&zn_msg_ack_kind, &ack);
}

/* From here on agent and scheduler agree. */
static void settle(void)
{
	settled = true;
	for (unsigned j = 1; j <= n_jobs; j++) {
		if (!jobs[j].sent || jobs[j].exited || jobs[j].listed)
			continue;
		if (jobs[j].started)
			die("started, and nobody knows of it any more", j);
		send_start(j);
		resent++;
	}
}

static void take_hello(const struct zn_msg_hello *m)
{
	const struct zn_msg_running *v = m->jobs.v;

	for (unsigned j = 1; j <= n_jobs; j++)
		jobs[j].listed = false;
	for (size_t i = 0; i < m->jobs.n; i++)
		jobs[v[i].job].listed = true;
}

static void take_frame(const struct zn_frame *f)
{
	struct zn_arena a = { 0 };
	union { struct zn_msg_hello hello; struct zn_msg_report report; } m;
	msgpack_object map;

	if (zn_msg_unpack(f, &a, &map, NULL) < 0)
		die("a frame that is no message", 0);
	const msgpack_object *kind = zn_val_get(&map, "kind");
	if (zn_val_is_text(kind, "hello") && zn_decode(&zn_msg_hello_kind, &map, &a, &m, NULL) == 0)
		take_hello(&m.hello);
	else if (zn_val_is_text(kind, "report") && zn_decode(&zn_msg_report_kind, &map, &a, &m, NULL) == 0)
		take_report(&m.report);
	else if (zn_val_is_text(kind, "state"))
		settle();
	zn_arena_done(&a);
}

static void greet(void)
{
	struct zn_msg_hello hello = { .version = ZN_NODE_VERSION, .node = "kill" };

	char home[PATH_MAX];
	snprintf(home, sizeof(home), "%s/node", spool);
	for (int i = 0; (fd = zn_node_connect(home, NULL)) < 0; i++) {
		if (i == 3000 || waitpid(agent, NULL, WNOHANG) == agent)
			die("the agent does not come up", 0);
		nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
	}
	in.len = 0;
	settled = false;
	send_msg(&zn_msg_hello_kind, &hello);
}

static void read_some(int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct zn_frame f;
	ssize_t len;

	if (poll(&p, 1, timeout_ms) <= 0)
		return;
	char *room = zn_buf_room(&in, 65536);
	ssize_t n = recv(fd, room, 65536, 0);
	if (n <= 0 && settled)
		die("the agent closed the connection", 0);
	if (n <= 0) { /* a shepherd of the killed agent had not closed its listener yet */
		close(fd);
		greet();
		return;
	}
	in.len += (size_t)n;
	while ((len = zn_frame_get(in.data, in.len, &f)) > 0) {
		take_frame(&f);
		zn_buf_eat(&in, (size_t)len);
	}
}

static void start_agent(void)
{
	agent = fork();
	if (agent == 0) {
		execlp("zn-noded", "zn-noded", "--spool", spool, (char *)NULL);
		_exit(127);
	}
	greet();
}

static void run_for(uint64_t ns)
{
	uint64_t end = zn_boot_ns() + ns;

	while (zn_boot_ns() < end || !settled) {
		for (; settled && n_out < OUTSTANDING && n_jobs + 1 < JOBS_MAX; n_out++)
			send_start(++n_jobs);
		read_some(1);
	}
}

static void kill_agent(void)
{
	kill(agent, SIGKILL);
	waitpid(agent, NULL, 0);
	close(fd);
}

static void count_runs(void)
{
	struct zn_arena a = { 0 };
	char path[4096], *text, *save;
	size_t n;
	static unsigned runs[JOBS_MAX];

	snprintf(path, sizeof(path), "%s/ran", spool);
	if (zn_file_read(AT_FDCWD, path, 64 << 20, &a, &text, &n) < 0)
		die("nothing ran", 0);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		runs[atoi(line)]++;
	for (unsigned j = 1; j <= n_jobs; j++) {
		if (runs[j] > 1)
			die("ran twice", j);
		if (!jobs[j].exited)
			die("no exit", j);
		if (!runs[j] && !jobs[j].lost)
			die("an exit without a run", j);
	}
	zn_arena_done(&a);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 64;
	spool = argv[1];
	unsigned rounds = (unsigned)atoi(argv[2]);
	srand((unsigned)atoi(argv[3]));
	for (unsigned i = 0; i < rounds; i++) {
		start_agent();
		run_for((uint64_t)(rand() % 60000) * 1000);
		kill_agent();
	}
	start_agent();
	uint64_t end = zn_boot_ns() + 30000000000ull;
	while ((n_out || !settled) && zn_boot_ns() < end)
		read_some(100);
	kill(agent, SIGTERM);
	waitpid(agent, NULL, 0);
	count_runs();
	printf("%u kills, %u jobs, %u exits, %u of them lost, %u starts sent again\n", rounds, n_jobs, exits, losts, resent);
	zn_buf_done(&in);
	return 0;
}
