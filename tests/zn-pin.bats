#!/usr/bin/env bats
# zn-pin: a command beside what it works with, on the real kernel; what can't be had is said once.
bats_require_minimum_version 1.5.0

# One that waits in four threads and a child until its stdin ends, one that forbids a system call.
setup_file() {
	cat >"$BATS_FILE_TMPDIR/threads.c" <<-'END'
		#include <pthread.h>
		#include <stdio.h>
		#include <unistd.h>
		static void *wait_end(void *p) { char c; while (read(0, &c, 1) > 0) ; return p; }
		int main(void)
		{
			pthread_t t[3];
			for (int i = 0; i < 3; i++)
				pthread_create(&t[i], 0, wait_end, 0);
			if (fork() == 0) { wait_end(0); _exit(0); }
			puts("ready");
			fflush(stdout);
			fclose(stdout);
			wait_end(0);
			return 0;
		}
	END
	cat >"$BATS_FILE_TMPDIR/deny.c" <<-'END'
		#include <errno.h>
		#include <linux/filter.h>
		#include <linux/seccomp.h>
		#include <stddef.h>
		#include <string.h>
		#include <sys/prctl.h>
		#include <sys/syscall.h>
		#include <unistd.h>
		int main(int argc, char **argv)
		{
			unsigned nr = !strcmp(argv[1], "set_mempolicy") ? SYS_set_mempolicy : SYS_sched_setaffinity;
			struct sock_filter f[] = {
				BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
				BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
				BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
				BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
			};
			struct sock_fprog prog = { 4, f };
			if (argc < 3 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
			    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
				return 99;
			execvp(argv[2], argv + 2);
			return 98;
		}
	END
	for p in threads deny; do
		"${CC:-cc}" -pthread -o "$BATS_FILE_TMPDIR/$p" "$BATS_FILE_TMPDIR/$p.c" || return
	done
}

setup() {
	unset OMP_NUM_THREADS CUDA_VISIBLE_DEVICES CUDA_DEVICE_ORDER GLIBC_TUNABLES ZENITH_OUTPUT
	PATH=$BATS_FILE_TMPDIR:$PATH
	allowed=$(allowed_of self)
	first=${allowed%%[-,]*}
	last=${allowed##*[-,]}
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	if [ -n "${group-}" ]; then rmdir "$group"; fi
	if [ -n "${threads_pid-}" ]; then
		exec 8>&-
		wait "$threads_pid"
	fi
}

allowed_of() { sed -n 's/^Cpus_allowed_list:\t//p' "/proc/$1/status"; }
need_two() { [ "$first" != "$last" ] || skip "needs two cpus"; }
field() { sed -n "s/.*\"$1\":\(\"[^\"]*\"\|[0-9][0-9]*\|\[[^]]*\]\).*/\1/p" <<<"$output" | tr -d '"'; }

# Sets threads_pid; the process has four threads and a child.
start_threads() {
	mkfifo stay
	threads <stay >ready 3>&- &
	threads_pid=$!
	exec 8>stay
	until [ -s ready ]; do read -r -t 0.01 <> <(:) || :; done
}

# A sentence, status 125, nothing on stdout.
refused() {
	local say=$1
	shift
	run --separate-stderr -125 zn-pin "$@"
	[ -z "$output" ]
	# shellcheck disable=SC2053,SC2154 # a pattern; bats sets it
	[[ ${stderr_lines[0]#zn-pin: } == $say ]] || { echo "$stderr"; false; }
}

@test "the command runs on the cpus that were asked for, and only there" {
	run --separate-stderr -0 zn-pin --cpus "$last" -- sed -n 's/^Cpus_allowed_list:\t//p' /proc/self/status
	[ "$output" = "$last" ]
	[ -z "$stderr" ]
}

@test "a numa node's cpus" {
	[ -e /sys/devices/system/node/node0/cpulist ] || skip "the kernel has no NUMA"
	run -0 zn-pin --numa 0 --dry-run -o json
	[ "$(field numas)" = "[0]" ]
	taskset -c "$(cat /sys/devices/system/node/node0/cpulist)" true
	run --separate-stderr -0 zn-pin --numa 0 -- nproc
	[ "$output" = "$(taskset -c "$(cat /sys/devices/system/node/node0/cpulist)" nproc)" ]
}

@test "the command's status is passed on, a signal's too" {
	run -37 zn-pin --cpus "$first" -- sh -c 'exit 37'
	run -0 zn-pin --cpus "$first" true
	run -143 zn-pin --cpus "$first" -- sh -c 'kill $$'
}

@test "the command's own options stay its own" {
	run -0 zn-pin --cpus "$first" printf '%s ' --cpus 99
	[ "$output" = "--cpus 99 " ]
}

@test "a command that is not there is 127, one that can't run 126" {
	run --separate-stderr -127 zn-pin --cpus "$first" no-such-command
	[ "$stderr" = "zn-pin: command 'no-such-command' not found" ]
	run --separate-stderr -126 zn-pin --cpus "$first" /
	[ "$stderr" = "zn-pin: can't run '/': Permission denied" ]
}

@test "what is no list, number or device is one sentence and 125" {
	refused "option '--cpus': '-1' is no list of numbers such as 0-3,8" --cpus -1 true
	refused "option '--cpus': '0,,1' is no list of numbers such as 0-3,8" --cpus 0,,1 true
	refused "option '--cpus': list '3-1' runs backwards at 3-1" --cpus 3-1 true
	refused "option '--cpus': list '99999999999999999999' goes above 2047" --cpus 99999999999999999999 true
	refused "option '--cpus': the list is empty" --cpus '' true
	refused "option '--numa': the list is empty" --numa '' true
	refused "there is no numa node 99: this machine has *" --numa 99 true
	refused "there is no cpu 2047: this machine has *" --cpus 2047 true
	refused "there is no network device 'mlx5_99'" --nic mlx5_99 true
	refused "there is no gpu '99'*" --gpu 99 true
	refused "an empty word names no gpu" --gpu '' true
	refused "option '--cores'*" --cpus "$first" --cores -1 true
	refused "option '--cores'*" --cpus "$first" --cores 18446744073709551616 true
	refused "option '--cores': 0 cores run nothing" --cpus "$first" --cores 0 true
	refused "option '--mem'*" --cpus "$first" --mem everywhere true
	refused "option '--spread': not from 1 to 2048" --cpus "$first" --spread 0
	refused "option '--pid': 0 is no process number" --cpus "$first" --pid 0
	refused "there is no process 4194304" --cpus "$first" --pid 4194304
}

@test "what makes no sense together is a usage error" {
	refused "where? *" true
	refused "a command is missing" --cpus "$first"
	refused "--tree needs --pid" --cpus "$first" --tree true
	refused "--pid pins a running process*" --cpus "$first" --pid 1 true
	refused "--spread prints plans*" --cpus "$first" --spread 2 --verify true
}

@test "cpus that do not exist or are not allowed are named in one warning, the rest is used" {
	need_two
	run --separate-stderr -0 taskset -c "$first" zn-pin --cpus "$allowed,2040-2047" -- nproc
	[ "$output" = 1 ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr == "zn-pin: asked for cpus $allowed,2040-2047, got $first: "*"2040-2047 do not exist, "*" not allowed here" ]]
}

@test "an empty intersection is one sentence and 125" {
	need_two
	run --separate-stderr -125 taskset -c "$first" zn-pin --cpus "$last" true
	[ "$stderr" = "zn-pin: none of cpus $last is allowed here, only $first" ]
}

@test "inside a nested cpuset it stays there and says so" {
	need_two
	[ "$(id -u)" -eq 0 ] || skip "needs root to make a cpuset"
	[ -w /sys/fs/cgroup/cpuset/cgroup.procs ] || skip "no cpuset hierarchy of cgroup v1"
	g=/sys/fs/cgroup/cpuset/zn-pin-$$
	mkdir "$g" || skip "this machine's cpusets can't be changed"
	group=$g
	echo "$first" >"$g/cpuset.cpus" && echo 0 >"$g/cpuset.mems" || skip "a cpuset can't be filled here"
	run --separate-stderr -0 sh -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' sh "$g" \
		zn-pin --cpus "$first,$last" --verify -o json -- true
	[ "$(field cpus)" = "$first" ]
	[ "$stderr" = "zn-pin: asked for cpus $(list "$first" "$last"), got $first: $last is not allowed here" ]

	start_threads
	echo "$threads_pid" >"$g/cgroup.procs"
	run --separate-stderr -0 zn-pin --pid "$threads_pid" --cpus "$first,$last"
	[ "$stderr" = "zn-pin: asked for cpus $(list "$first" "$last"), got $first: $last is not allowed here" ]
	echo "$threads_pid" >/sys/fs/cgroup/cpuset/cgroup.procs
	exec 8>&-
	wait "$threads_pid"
	threads_pid=
}

list() { [ $(($1 + 1)) -eq "$2" ] && echo "$1-$2" || echo "$1,$2"; }

@test "a memory policy is set, and the kernel agrees" {
	[ -e /sys/devices/system/node/node0 ] || skip "the kernel has no NUMA"
	run --separate-stderr zn-pin --numa 0 --mem bind --verify -o json -- true
	[ "$status" -eq 0 ]
	[ -z "$stderr" ] || skip "refused here: $stderr"
	[ "$(field mem)" = bind ] && [ "$(field mem_numas)" = "[0]" ]
	for policy in prefer interleave; do
		run --separate-stderr -0 zn-pin --numa 0 --mem $policy --verify -o json -- true
		[ "$(field mem)" = $policy ]
	done
}

@test "where the memory policy is refused, one warning, and the command runs" {
	[ -e /sys/devices/system/node/node0 ] || skip "the kernel has no NUMA"
	deny set_mempolicy true || skip "no seccomp here"
	run --separate-stderr -0 deny set_mempolicy zn-pin --numa 0 --mem bind -- echo ran
	[ "$output" = ran ]
	[ "$stderr" = "zn-pin: asked for memory policy bind on numa node 0, left as it was: Operation not permitted" ]
}

@test "where the affinity is refused, nothing runs" {
	deny sched_setaffinity true || skip "no seccomp here"
	run --separate-stderr -125 deny sched_setaffinity zn-pin --cpus "$first" -- echo ran
	[ -z "$output" ]
	[ "$stderr" = "zn-pin: can't run on cpus $first: Operation not permitted" ]
}

@test "--verify says on stderr what the kernel gave, and the command's output stays its own" {
	run --separate-stderr -0 zn-pin --cpus "$last" --verify -- echo hello
	[ "$output" = hello ]
	[[ $stderr == "zn-pin: process "*" (1 thread) runs on cpus $last, memory policy default" ]]
}

@test "--verify -o makes it a record; without a command it speaks of itself" {
	run --separate-stderr -0 zn-pin --cpus "$last" --verify -o json -- echo hello
	[[ ${lines[0]} == '{"kind":"pinned","pid":'*',"threads":1,"cpus":"'"$last"'","cpus_allowed":"'"$last"'"'* ]]
	[ "${lines[1]}" = hello ]
	[ -z "$stderr" ]
	run --separate-stderr -0 zn-pin --verify -o json
	[ "$(field cpus)" = "$allowed" ]
}

@test "--dry-run prints the plan as a record and runs nothing" {
	run --separate-stderr -0 zn-pin --cpus "$last" --dry-run -o json -- touch it 'two words'
	[[ $output == '{"kind":"pin","cpus":"'"$last"'","cores":1,'*'"mem":"default","command":["touch","it","two words"],"environment":{"OMP_NUM_THREADS":"1"}}' ]]
	[ ! -e it ]
	[ "$(zn-pin --cpus "$last" --dry-run true | zn-fmt -o csv --select cpus --no-heading)" = "$last" ]
}

@test "the plan says what it had to leave out" {
	run --separate-stderr -0 zn-pin --cpus "$first,2047" --dry-run -o json
	[ "$(field degraded)" = "asked for cpus $first,2047, got $first: 2047 does not exist" ]
	[ "$stderr" = "zn-pin: $(field degraded)" ]
}

@test "OMP_NUM_THREADS is the number of cores, unless the user has one" {
	[ "$(zn-pin --cpus "$first" -- printenv OMP_NUM_THREADS)" = 1 ]
	[ "$(OMP_NUM_THREADS=7 zn-pin --cpus "$first" -- printenv OMP_NUM_THREADS)" = 7 ]
	[ "$(zn-pin --cpus "$allowed" --cores 1 -- printenv OMP_NUM_THREADS)" = 1 ]
}

@test "--huge asks glibc's malloc for huge pages, and keeps the user's tunables" {
	[ "$(zn-pin --huge -- printenv GLIBC_TUNABLES)" = glibc.malloc.hugetlb=1 ]
	[ "$(GLIBC_TUNABLES=glibc.malloc.check=1 zn-pin --huge -- printenv GLIBC_TUNABLES)" = \
		glibc.malloc.check=1:glibc.malloc.hugetlb=1 ]
	[ "$(GLIBC_TUNABLES=glibc.malloc.hugetlb=2 zn-pin --huge -- printenv GLIBC_TUNABLES)" = glibc.malloc.hugetlb=2 ]
}

@test "a GPU without an identity of its own is named by its number" {
	export ZENITH_MOCK_GPUS=8
	run --separate-stderr -0 zn-pin --gpu 1,4-5 -- sh -c 'echo $CUDA_DEVICE_ORDER $CUDA_VISIBLE_DEVICES'
	[ "$output" = "PCI_BUS_ID 1,4,5" ]
	run -0 zn-pin --cpus "$first" -- sh -c 'echo ${CUDA_VISIBLE_DEVICES-none}'
	[ "$output" = none ]
}

@test "the NICs beside its GPUs are named, without GPUs none" {
	export ZENITH_MOCK_GPUS=8
	run --separate-stderr -0 zn-pin --gpu 1,4-5 -- printenv ZENITH_NICS
	[ "$output" = mlx5_1,mlx5_4,mlx5_5 ]
	run --separate-stderr -0 zn-pin --gpu 3 --dry-run -o json
	[[ $output == *'"ZENITH_NICS":"mlx5_3"'* ]]
	run -0 zn-pin --cpus "$first" -- sh -c 'echo ${ZENITH_NICS-none}'
	[ "$output" = none ]
}

@test "a GPU of a driver is named by its UUID, whatever the order of devices" {
	mkdir driver
	ln -s "$B/tests/nvidia-ml.so" driver/libnvidia-ml.so.1
	export LD_LIBRARY_PATH=$PWD/driver
	run --separate-stderr -0 zn-pin --gpu 0-1 -- sh -c 'echo ${CUDA_DEVICE_ORDER-unset} $CUDA_VISIBLE_DEVICES'
	[ "$output" = "unset GPU-fake-18,GPU-fake-22" ]
	run -0 zn-pin --gpu GPU-fake-22 -- printenv CUDA_VISIBLE_DEVICES
	[ "$output" = GPU-fake-22 ]
}

@test "a GPU may be named by number, UUID or PCI address" {
	export ZENITH_MOCK_GPUS=8
	read -r pci uuid < <(gpu_names 5) || skip "zn-topo is not there to say the names"
	for name in 5 "$uuid" "$pci" "${pci#0000:}" "0000$pci"; do
		run -0 zn-pin --gpu "$name" --dry-run -o json
		[ "$(field gpus)" = "[5]" ]
	done
	run -0 zn-pin --gpu "$pci,0" --gpu 7 --dry-run -o json
	[ "$(field gpus)" = "[0,5,7]" ]
}

gpu_names() {
	command -v zn-topo >/dev/null || return 0
	zn-topo | zn-fmt -o csv -w "kind == 'gpu' && gpu == $1" --select pci,uuid --no-heading | tr , ' '
}

@test "next to a mock GPU are real cpus, each side its own" {
	need_two
	export ZENITH_MOCK_GPUS=8
	run -0 zn-pin --gpu 0 -- sed -n 's/^Cpus_allowed_list:\t//p' /proc/self/status
	near=$output
	run -0 zn-pin --gpu 7 -- sed -n 's/^Cpus_allowed_list:\t//p' /proc/self/status
	[ "$near" != "$output" ]
}

@test "memory is not bound to a mock node: one warning, and the command runs" {
	[ -e /sys/devices/system/node/node0 ] || skip "the kernel has no NUMA"
	[ ! -e /sys/devices/system/node/node1 ] || skip "node 1 is real here"
	ZENITH_MOCK_GPUS=8 run --separate-stderr -0 zn-pin --gpu 7 --mem bind -- echo ran
	[ "$output" = ran ]
	[ "$stderr" = "zn-pin: asked for memory policy bind on numa node 1, left it to the kernel: 1 is only a mock" ]
}

@test "--spread prints disjoint plans that add up, each GPU in one of them" {
	need_two
	export ZENITH_MOCK_GPUS=8
	run --separate-stderr -0 zn-pin --gpu 0-7 --spread 2 -o json
	[ "${#lines[@]}" -eq 2 ]
	[[ ${lines[0]} == *'"part":0,'*'"gpus":[0,1,2,3]'* ]]
	[[ ${lines[1]} == *'"part":1,'*'"gpus":[4,5,6,7]'* ]]
	zn-pin --spread "$(nproc)" -o csv --fields cpus --no-heading | tr , '\n' | sort >parts
	[ "$(wc -l <parts)" -eq "$(nproc)" ]
	[ -z "$(uniq -d parts)" ]
	refused "2047 parts need 2047 cpus; there are *" --spread 2047
}

@test "--pid moves every thread of a running process, --tree its children too" {
	need_two
	start_threads
	child=$(pgrep -P "$threads_pid")
	run --separate-stderr -0 zn-pin --cpus "$last" --pid "$threads_pid" --verify
	[[ $stderr == "zn-pin: process $threads_pid (4 threads) runs on cpus $last" ]]
	for t in /proc/"$threads_pid"/task/*; do
		[ "$(sed -n 's/^Cpus_allowed_list:\t//p' "$t/status")" = "$last" ]
	done
	[ "$(allowed_of "$child")" = "$allowed" ]
	run --separate-stderr -0 zn-pin --cpus "$first" --pid "$threads_pid" --tree --verify -o json
	[ "${#lines[@]}" -eq 2 ]
	[ "$(allowed_of "$child")" = "$first" ]
	[ "$(allowed_of "$threads_pid")" = "$first" ]
}

@test "--pid --mem bind moves pages, and says that a policy can't be set from outside" {
	[ -e /sys/devices/system/node/node0 ] || skip "the kernel has no NUMA"
	[ ! -e /sys/devices/system/node/node1 ] || skip "pages may really stay on another node"
	start_threads
	run --separate-stderr -0 zn-pin --numa 0 --mem bind --pid "$threads_pid" --verify -o json
	[ "$(field pages_left)" = 0 ]
	[ -z "$stderr" ]
	run --separate-stderr -0 zn-pin --numa 0 --mem interleave --pid "$threads_pid"
	[ "$stderr" = "zn-pin: the memory policy of a running process can't be set from outside" ]
}

@test "another user's process is refused with a sentence" {
	[ "$(id -u)" -eq 0 ] || skip "needs root to become someone else"
	command -v setpriv >/dev/null || skip "setpriv is missing"
	pin=$(command -v zn-pin)
	setpriv --reuid 65534 --clear-groups test -x "$pin" || skip "nobody can't reach the build directory"
	run --separate-stderr -125 setpriv --reuid 65534 --clear-groups "$pin" --cpus "$first" --pid $$
	[ "$stderr" = "zn-pin: process $$ is another user's" ]
}

@test "--fields help lists the keys, whatever else is missing" {
	run --separate-stderr -0 zn-pin --fields help
	[[ $output == *"cpus_allowed"* ]]
}
