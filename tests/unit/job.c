/* What a job may be: its states, what may be asked, and the options in a script. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>

#include "job/sbatch.h"
#include "job/spec.h"
#include "job/state.h"
#include "tap.h"

/* The legal moves as the manual lists them, one letter a state: Pending Queued Scheduled Running sUspended
 * Completed Failed cAncelled.
 */
static const char *const moves[] = { "PQ", "QP", "QS", "QU", "QA", "PA", "PF", "SR", "SQ", "SF", "SA", "RU", "RQ",
                                     "RP", "RC", "RF", "RA", "UR", "UQ", "UC", "UF", "UA", NULL };
static const char letters[] = "PQSRUCFA";

static void states(void)
{
	int wrong = 0;

	for (int from = 0; from < ZN_JOB_STATES; from++)
		for (int to = 0; to < ZN_JOB_STATES; to++) {
			bool legal = false;
			for (int i = 0; moves[i]; i++)
				legal |= moves[i][0] == letters[from] && moves[i][1] == letters[to];
			wrong += legal != zn_job_can_become((enum zn_job_state)from, (enum zn_job_state)to);
		}
	tap_ok(!wrong, "each of the 64 moves is legal or not as the list has it");
	for (int s = 0; s < ZN_JOB_STATES; s++) {
		enum zn_job_state back = ZN_JOB_STATES;
		tap_ok(zn_job_state_parse(zn_job_state_name((enum zn_job_state)s), &back) == 0 && (int)back == s,
		       "%s reads back", zn_job_state_name((enum zn_job_state)s));
	}
	enum zn_job_state s;
	tap_ok(zn_job_state_parse("running", &s) == 0 && s == ZN_JOB_RUNNING, "any case will do");
	tap_ok(zn_job_state_parse("DONE", &s) == -EINVAL, "DONE is no state");
}

/* ---- submissions ---- */

static struct zn_spec good(void)
{
	return (struct zn_spec){ .command = "true", .directory = "/tmp" };
}

struct spec_row {
	const char *what;
	void (*change)(struct zn_spec *s);
	int rc;
	const char *sentence; /* a part of it */
};

static char long_name[ZN_SPEC_NAME_MAX + 2];

static void nothing(struct zn_spec *s) { (void)s; }
static void no_command(struct zn_spec *s) { s->command = NULL; }
static void both(struct zn_spec *s) { s->script = "#!/bin/sh\n"; }
static void empty_command(struct zn_spec *s) { s->command = ""; }
static void relative(struct zn_spec *s) { s->directory = "tmp"; }
static void no_directory(struct zn_spec *s) { s->directory = NULL; }
static void newline_name(struct zn_spec *s) { s->job_name = "a\nb"; }
static void escape_name(struct zn_spec *s) { s->job_name = "\033[31m"; }
static void latin_name(struct zn_spec *s) { s->job_name = "caf\xe9"; }
static void empty_name(struct zn_spec *s) { s->job_name = ""; }
static void too_long_name(struct zn_spec *s) { s->job_name = long_name; }
static void longest_name(struct zn_spec *s) { s->job_name = long_name + 1; }
static void newline_key(struct zn_spec *s) { s->key = "k\n"; }
static void newline_output(struct zn_spec *s) { s->output = "/tmp/a\nb"; }
static void empty_output(struct zn_spec *s) { s->output = ""; }
static void no_tasks(struct zn_spec *s) { s->resources.tasks = ZN_SOME_U64(0); }
static void many_tasks(struct zn_spec *s) { s->resources.tasks = ZN_SOME_U64(ZN_SPEC_TASKS_MAX + 1); }
static void many_gpus(struct zn_spec *s) { s->resources.gpus = ZN_SOME_U64(UINT64_MAX); }
static void no_cpus(struct zn_spec *s) { s->resources.cpus = ZN_SOME_U64(0); }
static void much_memory(struct zn_spec *s) { s->resources.mem_bytes = ZN_SOME_U64(UINT64_MAX); }
static void no_time(struct zn_spec *s) { s->resources.time_limit_s = ZN_SOME_F64(0); }
static void negative_time(struct zn_spec *s) { s->resources.time_limit_s = ZN_SOME_F64(-5); }
static void endless_time(struct zn_spec *s) { s->resources.time_limit_s = ZN_SOME_F64(1e300); }
static void odd_signal(struct zn_spec *s) { s->policy.signal = "SIGNOPE"; }
static void odd_umask(struct zn_spec *s) { s->umask = ZN_SOME_U64(01000); }
static void odd_nvlink(struct zn_spec *s) { s->locality.nvlink = "maybe"; }
static void everywhere(struct zn_spec *s)
{
	s->locality.spread = s->locality.same_switch = ZN_SOME_BOOL(true);
	s->locality.pack = ZN_SOME_BOOL(false);
	s->locality.near = "mlx5_0";
}
static void packed_spread(struct zn_spec *s)
{
	everywhere(s);
	s->locality.pack = ZN_SOME_BOOL(true);
}
static void near_nothing(struct zn_spec *s) { s->locality.near = ""; }
static void near_path(struct zn_spec *s) { s->locality.near = "../eth0"; }
static void near_words(struct zn_spec *s) { s->locality.near = "eth0 eth1"; }
static void near_longest(struct zn_spec *s) { s->locality.near = long_name + sizeof(long_name) - 1 - ZN_SPEC_DEVICE_MAX; }
static void near_longer(struct zn_spec *s) { s->locality.near = long_name + sizeof(long_name) - 2 - ZN_SPEC_DEVICE_MAX; }
static void huge_priority(struct zn_spec *s) { s->policy.priority = ZN_SOME_I64(INT64_C(1) << 40); }
static void no_array(struct zn_spec *s) { s->policy.array = "9-0"; }
static void array_on_terminal(struct zn_spec *s) { s->policy.array = "0-9"; s->terminal = "zenith-pty-x"; }
static void a_share(struct zn_spec *s) { s->resources.gpu_share = ZN_SOME_F64(0.5); }
static void whole_share(struct zn_spec *s) { s->resources.gpu_share = ZN_SOME_F64(1); }
static void no_share(struct zn_spec *s) { s->resources.gpu_share = ZN_SOME_F64(NAN); }
static void fine_share(struct zn_spec *s) { s->resources.gpu_share = ZN_SOME_F64(0.3333); }
static void share_of_two(struct zn_spec *s) { a_share(s); s->resources.gpus_per_node = ZN_SOME_U64(2); }
static void linked_share(struct zn_spec *s) { a_share(s); s->locality.nvlink = "prefer"; }
static void little_gpu_mem(struct zn_spec *s) { s->resources.gpu_mem_bytes = ZN_SOME_U64(1000); }
/* A map of n names to count, as a record holds it; the names are a, b, c... */
static struct zn_bytes map_of(unsigned n, unsigned char count)
{
	static unsigned char bytes[3 + 3 * 20];
	size_t at = 0;

	bytes[at++] = 0xde; /* map 16 */
	bytes[at++] = 0;
	bytes[at++] = (unsigned char)n;
	for (unsigned i = 0; i < n; i++) {
		bytes[at++] = 0xa1; /* str 1 */
		bytes[at++] = (unsigned char)('a' + i);
		bytes[at++] = count;
	}
	return (struct zn_bytes){ bytes, at };
}
static void licences(struct zn_spec *s) { s->resources.licences = map_of(16, 127); }
static void no_licences(struct zn_spec *s) { s->resources.licences = map_of(0, 1); }
static void no_times_a_licence(struct zn_spec *s) { s->resources.licences = map_of(2, 0); }
static void minus_a_licence(struct zn_spec *s) { s->resources.licences = map_of(1, 0xff); }
static void a_truth_of_a_licence(struct zn_spec *s) { s->resources.licences = map_of(1, 0xc3); }
static void too_many_licences(struct zn_spec *s) { s->resources.licences = map_of(17, 1); }
static void a_licence_without_count(struct zn_spec *s) { s->resources.licences = (struct zn_bytes){ "\xa1" "a", 2 }; }
static void a_licence_twice(struct zn_spec *s) { s->resources.licences = (struct zn_bytes){ "\x82\xa1" "a\x01\xa1" "a\x01", 7 }; }
static void a_licence_of_two_names(struct zn_spec *s) { s->resources.licences = (struct zn_bytes){ "\x81\xa3" "a,b\x01", 6 }; }
static void two_nodes(struct zn_spec *s) { s->resources.nodes_min = ZN_SOME_U64(2); }
static void one_node(struct zn_spec *s) { s->resources.nodes_min = ZN_SOME_U64(1); }
static void disagree(struct zn_spec *s)
{
	s->resources.gpus = ZN_SOME_U64(4);
	s->resources.gpus_per_node = ZN_SOME_U64(2);
}
static void odd_variable(struct zn_spec *s)
{
	static struct zn_pair v[] = { { "A=B", "c" } };
	s->environment = (struct zn_strmap){ v, 1 };
}

static void adopted(struct zn_spec *s)
{
	s->command = NULL;
	s->adopt.pid = ZN_SOME_U64(4711);
	s->adopt.start_ticks = ZN_SOME_U64(1);
}
static void adopted_of_no_time(struct zn_spec *s)
{
	adopted(s);
	s->adopt.start_ticks.has = false;
}
static void adopted_with_command(struct zn_spec *s)
{
	adopted(s);
	s->command = "true";
}
static void adopted_again(struct zn_spec *s)
{
	adopted(s);
	s->policy.requeue = ZN_SOME_U64(1);
}
static void adopted_with_licence(struct zn_spec *s)
{
	adopted(s);
	licences(s);
}
static void adopted_near(struct zn_spec *s)
{
	adopted(s);
	s->locality.near = "eth0";
}
static void adopted_twice_a_gpu(struct zn_spec *s)
{
	static uint32_t gpus[] = { 1, 1 };

	adopted(s);
	s->adopt.gpus = (struct zn_u32s){ gpus, 2 };
}

static void terminal(struct zn_spec *s) { s->terminal = "zenith-pty-0f"; }
static void odd_terminal(struct zn_spec *s) { s->terminal = "zenith-pty-../x"; }
static void terminal_of_two(struct zn_spec *s)
{
	terminal(s);
	s->resources.tasks = ZN_SOME_U64(2);
}

static const struct spec_row spec_rows[] = {
	{ "a command and a directory are enough", nothing, 0, "" },
	{ "no command and no script", no_command, -EBADMSG, "needs a command or a script" },
	{ "a command and a script", both, -EBADMSG, "not both" },
	{ "a process that runs already needs neither", adopted, 0, "" },
	{ "a process of no known start", adopted_of_no_time, -EBADMSG, "named by pid, from 2, and start_ticks" },
	{ "a process and a command", adopted_with_command, -EBADMSG, "can be given no command" },
	{ "a process that is to be run again", adopted_again, -EBADMSG, "requeue" },
	{ "a process that is to have licences", adopted_with_licence, -EBADMSG, "licences" },
	{ "a process that is to be near a device", adopted_near, -EBADMSG, "locality" },
	{ "a process that holds a GPU twice", adopted_twice_a_gpu, -EBADMSG, "gpu 1 is named twice" },
	{ "a terminal", terminal, 0, "" },
	{ "a terminal that is a path", odd_terminal, -EBADMSG, "is no name of one" },
	{ "a terminal for two tasks", terminal_of_two, -EBADMSG, "has one task" },
	{ "an empty command", empty_command, -EBADMSG, "the command is empty" },
	{ "a relative directory", relative, -EBADMSG, "'tmp' is not absolute" },
	{ "no directory", no_directory, -EBADMSG, "not absolute" },
	{ "a newline in the name", newline_name, -EBADMSG, "control character" },
	{ "an escape sequence in the name", escape_name, -EBADMSG, "control character" },
	{ "a name that is not UTF-8", latin_name, -EBADMSG, "not UTF-8" },
	{ "an empty name", empty_name, -EBADMSG, "1 to 128 bytes" },
	{ "a name of 129 bytes", too_long_name, -EBADMSG, "not 129" },
	{ "a name of 128 bytes", longest_name, 0, "" },
	{ "a newline in the key", newline_key, -EBADMSG, "control character" },
	{ "a newline in the output's path", newline_output, -EBADMSG, "newline" },
	{ "an empty output path", empty_output, -EBADMSG, "empty" },
	{ "no tasks", no_tasks, -EBADMSG, "tasks must be 1 to" },
	{ "too many tasks", many_tasks, -EBADMSG, "tasks must be 1 to" },
	{ "too many GPUs", many_gpus, -EBADMSG, "gpus must be 0 to" },
	{ "no CPUs", no_cpus, -EBADMSG, "cpus must be 1 to" },
	{ "more memory than there is in the world", much_memory, -EBADMSG, "mem_bytes must be 1 to" },
	{ "a time limit of nothing", no_time, -EBADMSG, "time_limit_s must be" },
	{ "a negative time limit", negative_time, -EBADMSG, "time_limit_s must be" },
	{ "a time limit without end", endless_time, -EBADMSG, "time_limit_s must be" },
	{ "a signal that is none", odd_signal, -EBADMSG, "'SIGNOPE'" },
	{ "a umask with a fourth digit", odd_umask, -EBADMSG, "umask must be" },
	{ "an NVLink wish that is none", odd_nvlink, -EBADMSG, "'maybe'" },
	{ "all wishes for a place that go together", everywhere, 0, "" },
	{ "pack and spread", packed_spread, -EBADMSG, "pack and spread contradict each other" },
	{ "near a device without a name", near_nothing, -EBADMSG, "near '' is no name of a device" },
	{ "near a path", near_path, -EBADMSG, "near '../eth0' is no name" },
	{ "near two devices", near_words, -EBADMSG, "near 'eth0 eth1' is no name" },
	{ "near a device with a long name", near_longest, 0, "" },
	{ "near one with a longer name", near_longer, -EBADMSG, "is no name of a device" },
	{ "a priority beyond 32 bits", huge_priority, -EBADMSG, "32 bits" },
	{ "an array that runs backwards", no_array, -EBADMSG, "a range runs backwards" },
	{ "an array on a terminal", array_on_terminal, -EBADMSG, "is one and no array" },
	{ "a part of a GPU", a_share, 0, "" },
	{ "all of a GPU as a part", whole_share, -EBADMSG, "gpu_share must be 0.001 to 0.999, in thousandths, not 1" },
	{ "a part that is no number", no_share, -EBADMSG, "gpu_share must be" },
	{ "a part finer than a thousandth", fine_share, -EBADMSG, "not 0.3333" },
	{ "a part of two GPUs", share_of_two, -EBADMSG, "with 2 gpus" },
	{ "a part with NVLink", linked_share, -EBADMSG, "with nvlink" },
	{ "a little memory of a GPU", little_gpu_mem, -EBADMSG, "gpu_mem_bytes must be 1048576 to" },
	{ "sixteen licences", licences, 0, "" },
	{ "a map without licences", no_licences, 0, "" },
	{ "a licence no times", no_times_a_licence, -EBADMSG, "licence 'a' must be asked 1 to 1000000 times, not 0" },
	{ "a licence less than no times", minus_a_licence, -EBADMSG, "licence 'a' can be asked a whole number of times" },
	{ "a licence that is true", a_truth_of_a_licence, -EBADMSG, "licence 'a' can be asked a whole number of times" },
	{ "seventeen licences", too_many_licences, -EBADMSG, "a job may ask 16 different licences, not 17" },
	{ "a licence without a count", a_licence_without_count, -EBADMSG, "licences must be a map" },
	{ "a licence twice", a_licence_twice, -EBADMSG, "" },
	{ "a licence with a comma", a_licence_of_two_names, -EBADMSG, "holds a colon or a comma" },
	{ "two nodes", two_nodes, 0, "" },
	{ "one node", one_node, 0, "" },
	{ "gpus and gpus_per_node that disagree", disagree, -EBADMSG, "disagree" },
	{ "a variable with '=' in its name", odd_variable, -EBADMSG, "'A=B'" },
};

static void specs(void)
{
	memset(long_name, 'n', sizeof(long_name) - 1);
	for (size_t i = 0; i < sizeof(spec_rows) / sizeof(*spec_rows); i++) {
		const struct spec_row *r = &spec_rows[i];
		struct zn_spec s = good();
		struct zn_err err = { "" };
		r->change(&s);
		int rc = zn_spec_check(&s, &err);
		tap_ok(rc == r->rc && strstr(err.text, r->sentence), "%s: %d %s", r->what, rc, err.text);
	}
}

static void outputs(void)
{
	static const struct { const char *pattern, *want; } rows[] = {
		{ "zn-%j.out", "/home/ann/zn-12.out" }, { "/var/%n/%j", "/var/box/12" }, { "a%%b%r", "/home/ann/a%%b%r" },
		{ "%a%j%j", "/home/ann/1212" }, { "x%", "/home/ann/x%" }, { "%q", "/home/ann/%q" },
	};
	struct zn_arena a = { 0 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char *got = zn_spec_output(rows[i].pattern, "/home/ann", 12, "box", &a);
		tap_ok(got && !strcmp(got, rows[i].want), "output '%s' is '%s'", rows[i].pattern, got ? got : "");
	}
	char *got = zn_spec_output("o", "/", 1, "box", &a);
	tap_ok(got && !strcmp(got, "/o"), "below / there is one slash");
	zn_arena_done(&a);
}

static void signals(void)
{
	tap_ok(zn_signal_parse("TERM") == SIGTERM && zn_signal_parse("sigusr1") == SIGUSR1 &&
	       zn_signal_parse("9") == SIGKILL, "signals go by name, with or without SIG, and by number");
	tap_ok(zn_signal_parse("0") < 0 && zn_signal_parse("65") < 0 && zn_signal_parse("") < 0 &&
	       zn_signal_parse("-9") < 0, "0, 65, nothing and -9 are no signals");
}

/* ---- scripts ---- */

static const struct { const char *what, *script, *words; } script_rows[] = {
	{ "no #ZN line", "#!/bin/sh\necho hi\n", "" },
	{ "two lines", "#!/bin/sh\n#ZN -g 2\n#ZN --name night\npython x\n", "-g|2|--name|night|" },
	{ "quotes of both kinds", "#ZN --name \"a b\" --env 'X=\\y'\n", "--name|a b|--env|X=\\y|" },
	{ "quotes inside a word", "#ZN --env X='a b'c\n", "--env|X=a bc|" },
	{ "a backslash before a blank", "#ZN --name a\\ b\n", "--name|a b|" },
	{ "a comment behind", "#ZN -g 2 # two\n", "-g|2|" },
	{ "after the first line of code they are no options", "echo\n#ZN -g 2\n", "" },
	{ "blank lines and comments do not end them", "#!/bin/sh\n\n# x\n   \n#ZN -g 1\n", "-g|1|" },
	{ "lines that end as on DOS", "#!/bin/sh\r\n#ZN -g 1\r\n", "-g|1|" },
	{ "a tab behind #ZN", "#ZN\t-g\t1", "-g|1|" },
	{ "#ZNX is another word", "#ZNX -g 1\n", "" },
	{ "an empty word", "#ZN --name ''\n", "--name||" },
};

static const struct { const char *lines, *words, *ignored; } mail_rows[] = {
	{ "#SBATCH --mail-type=END", "--mail|ann|", "" },
	{ "#SBATCH --mail-type=ALL --mail-user=bob@site", "--mail|bob@site|", "" },
	{ "#SBATCH --mail-user=bob@site --mail-type=BEGIN,FAIL", "--mail|bob@site|--mail-on|fail|", "--mail-type=BEGIN|" },
	{ "#SBATCH --mail-user=bob@site", "", "" }, { "#SBATCH --mail-type=NONE", "", "" },
};

static const struct { const char *lines, *words, *ignored; } sbatch_rows[] = {
	{ "#SBATCH --job-name=train\n#SBATCH -o out/%x-%j.txt -e %A_%t.err", "--name|train|--output|out/train-%j.txt|--error|%j_%r.err|", "" },
	{ "#SBATCH -n 4 -c 8 --gpus=2", "--tasks|4|--gpus|2|--cpus|32|", "" },
	{ "#SBATCH --ntasks-per-node=2 --gpus-per-task=a100:2 --cpus-per-gpu 4", "--tasks|2|--gpus|4|--cpus|16|", "" },
	{ "#SBATCH --gres=gpu:4 --mem=64G", "--gpus|4|--mem|68719476736|", "" }, { "#SBATCH --gres=gpu:h100:4", "--gpus|4|", "" },
	{ "#SBATCH --gres gpu -N1", "--gpus|1|", "" }, { "#SBATCH --mem 4000", "--mem|4194304000|", "" }, { "#SBATCH --mem=0", "", "" },
	{ "#SBATCH -c2 --mem-per-cpu=1G", "--cpus|2|--mem|2147483648|", "" }, { "#SBATCH -G2 --mem-per-gpu=10G", "--gpus|2|--mem|21474836480|", "" },
	{ "#SBATCH -t 30", "--time|1800|", "" }, { "#SBATCH -t 1:30", "--time|90|", "" }, { "#SBATCH -t 2:00:00", "--time|7200|", "" },
	{ "#SBATCH --time=1-12", "--time|129600|", "" }, { "#SBATCH -t 1-00:30", "--time|88200|", "" }, { "#SBATCH -t UNLIMITED", "", "" },
	{ "#SBATCH --signal=B:USR1@300 -t 1:00:00", "--signal|USR1|--grace|300|--time|3300|", "" }, { "#SBATCH --signal=TERM", "--signal|TERM|--grace|60|", "" },
	{ "#SBATCH --begin=now+2hours", "--begin|+2h|", "" }, { "#SBATCH -b now+60", "--begin|+60s|", "" }, { "#SBATCH -b now+1week", "--begin|+7d|", "" },
	{ "#SBATCH --begin=now", "", "" }, { "#SBATCH --begin 2030-01-20T12:34:00", "--begin|2030-01-20T12:34:00|", "" },
	{ "#SBATCH -H --requeue --nice=50", "--hold|--requeue|5|--priority|-50|", "" }, { "#SBATCH --export=ALL,LR=0.1,B=2", "--env|LR=0.1|--env|B=2|", "" },
	{ "#SBATCH --export=NONE", "", "--export|" }, { "#SBATCH -p gpu --mail-type=END -A lab --exclusive", "--account|lab|", "--partition|--mail-type|--exclusive|" },
	{ "#SBATCH -n 4000000000 -c 4000000000 --mem-per-cpu=1P", "--tasks|4000000000|--cpus|16000000000000000000|--mem|18446744073709551615|", "" },
	{ "#SBATCH --new-thing value -J x", "--name|x|", "--new-thing|" }, { "##SBATCH -n 4\n# SBATCH -n 3\n#SBATCHX -n 2", "", "" },
	{ "#SBATCH --spread-job --switches=1", "--spread|--same-switch|", "" },
	{ "#SBATCH --reservation=course -t 30", "--reservation|course|--time|1800|", "" },
	{ "#SBATCH --switches 2\n#SBATCH --switches=1@12:00", "", "--switches=2|--switches=1@12:00|" },
	{ "#SBATCH -N 4", "--nodes|4|--tasks|4|", "" },
	{ "#SBATCH -N 2 --ntasks-per-node=4 --gpus-per-node=8 --mem=1G -c 2", "--nodes|2|--tasks|8|--gpus|16|--cpus|16|--mem|2147483648|", "" },
	{ "#SBATCH -N 2 -n 4 --gres=gpu:2", "--nodes|2|--tasks|4|--gpus|4|", "" },
	{ "#SBATCH -n 2\nsrun x\n#SBATCH -n 4", "--tasks|2|", "" },
	{ "#SBATCH --array=0-15%4 -o %A_%a.txt", "--array|0-15%4|--output|%j_%a.txt|", "" },
};

static const struct { const char *lines; int rc; const char *sentence; } sbatch_refused[] = {
	{ "#SBATCH -N 2-4", -EBADMSG, "#SBATCH --nodes '2-4' makes no sense" },
	{ "#SBATCH --gres=fpga:1", -EOPNOTSUPP, "#SBATCH --gres 'fpga:1': there are only GPUs" },
	{ "#SBATCH -n many", -EBADMSG, "#SBATCH --ntasks 'many' makes no sense" }, { "#SBATCH -t 1:2:3:4", -EBADMSG, "#SBATCH --time" },
	{ "#SBATCH -t -5", -EBADMSG, "#SBATCH --time '-5' makes no sense" }, { "#SBATCH --mem=lots", -EBADMSG, "#SBATCH --mem" },
	{ "#SBATCH --begin=now+2moons", -EBADMSG, "#SBATCH --begin" }, { "#SBATCH --signal=NOPE", -EBADMSG, "#SBATCH --signal" },
	{ "#SBATCH -J", -EBADMSG, "#SBATCH --job-name needs a value" }, { "#SBATCH train.sh", -EBADMSG, "#SBATCH 'train.sh' is no option" },
	{ "#SBATCH -J 'x", -EBADMSG, "line 2" },
};

static void join(const struct zn_strs *words, char to[512])
{
	*to = '\0';
	for (size_t i = 0; i < words->n; i++) {
		strcat(to, words->v[i]);
		strcat(to, "|");
	}
}

static void sbatch(void)
{
	struct zn_arena a = { 0 };
	struct zn_sbatch got;
	char script[512], words[512], ignored[512];

	for (size_t i = 0; i < sizeof(mail_rows) / sizeof(*mail_rows); i++) {
		int rc = zn_sbatch_options(mail_rows[i].lines, "ann", &a, &got, NULL);
		join(&got.words, words);
		join(&got.ignored, ignored);
		tap_ok(rc == 0 && !strcmp(words, mail_rows[i].words) && !strcmp(ignored, mail_rows[i].ignored),
		       "where mail is sent: %s", mail_rows[i].lines);
	}
	for (size_t i = 0; i < sizeof(sbatch_rows) / sizeof(*sbatch_rows); i++) {
		struct zn_err err = { "" };
		snprintf(script, sizeof(script), "#!/bin/bash\n%s\necho\n", sbatch_rows[i].lines);
		int rc = zn_sbatch_options(script, NULL, &a, &got, &err);
		join(&got.words, words);
		join(&got.ignored, ignored);
		if (!tap_ok(rc == 0 && !strcmp(words, sbatch_rows[i].words) && !strcmp(ignored, sbatch_rows[i].ignored), "%s", sbatch_rows[i].words))
			printf("# %d '%s' ignored '%s' %s\n", rc, words, ignored, err.text);
	}
	for (size_t i = 0; i < sizeof(sbatch_refused) / sizeof(*sbatch_refused); i++) {
		struct zn_err err = { "" };
		snprintf(script, sizeof(script), "#!/bin/bash\n%s\necho\n", sbatch_refused[i].lines);
		int rc = zn_sbatch_options(script, NULL, &a, &got, &err);
		if (!tap_ok(rc == sbatch_refused[i].rc && !strncmp(err.text, sbatch_refused[i].sentence, strlen(sbatch_refused[i].sentence)), "refused: %s",
		            sbatch_refused[i].sentence))
			printf("# %d %s\n", rc, err.text);
	}
	zn_arena_done(&a);
}

static void scripts(void)
{
	struct zn_arena a = { 0 };
	struct zn_err err = { "" };
	struct zn_strs words;

	for (size_t i = 0; i < sizeof(script_rows) / sizeof(*script_rows); i++) {
		char got[256] = "";
		int rc = zn_script_words(script_rows[i].script, "#ZN", &a, &words, &err);
		for (size_t k = 0; rc == 0 && k < words.n; k++) {
			strcat(got, words.v[k]);
			strcat(got, "|");
		}
		tap_ok(rc == 0 && !strcmp(got, script_rows[i].words), "%s: %s", script_rows[i].what, got);
	}
	int rc = zn_script_words("#!/bin/sh\n#ZN --name 'x\n", "#ZN", &a, &words, &err);
	tap_ok(rc == -EBADMSG && strstr(err.text, "line 2"), "a quote that is not closed: %s", err.text);
	zn_arena_done(&a);
}

int main(void)
{
	states();
	specs();
	outputs();
	signals();
	scripts();
	sbatch();
	return tap_done();
}
