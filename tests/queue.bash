# queue: what the tests of zn-submit, zn-queue and zn-schedd share: a spool of their own for each test, and the end
# of everything that was started in it.
bats_require_minimum_version 1.5.0

setup() {
	dir=$(mktemp -d "${TMPDIR:-/tmp}/queue.XXXXXX") # short: the path of a socket ends at 108 bytes
	export ZENITH_SPOOL=$dir/spool ZENITH_LEASE_DIR=$dir/leases ZENITH_MOCK_GPUS=8 PATH=${B:-build}/tests:$PATH
	unset ZENITH_AUTOSTART ZENITH_JOB_ID ZENITH_CONFIG ZENITH_OUTPUT
	cd "$dir" || return 1
	mkdir leases && chmod 1777 leases
}

teardown() {
	local pid pids status=0
	if [ "$BATS_TEST_COMPLETED" ] && ! orderly_stop; then
		echo "what was started did not stop in order" >&2
		status=1
	fi
	pids=$(daemons)
	for pid in $pids; do ended "$pid" || kill -KILL "$pid"; done 2>/dev/null
	for pid in $pids; do until_true ended "$pid"; done
	cd /
	! mountpoint -q "$dir/small" || umount -l "$dir/small"
	[ "$BATS_TEST_COMPLETED$status" = 10 ] || tail -n 30 "$dir"/spool/schedd.log "$dir"/spool/node/log 2>/dev/null
	rm -rf "$dir"
	return $status
}

# Cancels what still waits or runs, stops the scheduler and holds that the agent, which is idle then, goes with it.
orderly_stop() {
	local pid agent=$(pid_of zn-noded) jobs
	[ "$(pid_of zn-schedd)" ] || return 0
	export ZENITH_SPOOL=$dir/spool ZENITH_AUTOSTART=no
	unset ZENITH_CONFIG
	jobs=$(zn-queue list -o json | sed -n 's/^{"kind":"job","id":\([0-9]*\).*/\1/p')
	[ -z "$jobs" ] || { zn-queue cancel --grace 0 $jobs 2>/dev/null; timeout 30 zn-queue wait $jobs; } || true
	zn-schedd --stop || [ $? -eq 69 ] || return 1 # 69: it went away by itself just now
	for pid in $agent; do until_true ended "$pid" || { echo "agent $pid stayed" >&2; return 1; }; done
	until_true none_is_left || return 1
	! grep -hs 'Sanitizer\|runtime error' -A 40 "$dir/spool/schedd.log" log >&2
}

# pid_of PROGRAM: the processes of that name that serve this test's spool.
pid_of() {
	local p name
	for p in /proc/[0-9]*; do
		{ read -r name <"$p/comm"; } 2>/dev/null || continue
		[ "$name" = "$1" ] || continue
		{ tr '\0' '\n' <"$p/environ" | grep -qF "$dir/"; } 2>/dev/null && echo "${p#/proc/}"
	done
	return 0
}
daemons() { pid_of zn-schedd; pid_of zn-noded; }
none_is_left() { [ -z "$(daemons)" ]; }

until_true() { local i; for ((i = 0; i < 3000; i++)); do "$@" && return; read -rt 0.01 <> <(:) || :; done; return 1; }
in_state() { [[ $(sed 's/.*) \(.\).*/\1/' "/proc/$2/stat" 2>/dev/null) == ["$1"] ]]; }
ended() { [ -z "$1" ] || [ ! -e "/proc/$1" ] || in_state Z "$1" || [ ! -e "/proc/$1" ]; }
has_lines() { [ "$(grep -c '' "$2" 2>/dev/null)" -ge "$1" ]; }
exists() { [ -e "$1" ]; }

# field KEY [JOB]: one value of a job's record as JSON shows it; empty when it is absent.
field() { zn-queue show -o json "$2" | sed -n 's/.*"'"$1"'":\("[^"]*"\|[^,"}]*\).*/\1/p' | tr -d '"'; }
state() { field state "$1"; }
is_state() { [ "$(state "$2")" = "$1" ]; }
# await STATE JOB: sleeps until the job has that state.
await() { until_true is_state "$1" "$2" || { zn-queue show -o table "$2" >&2; return 1; }; }
# A job that runs until the file "go" is there.
blocker() { zn-submit "$@" -- /bin/sh -c "until [ -e '$dir/go' ]; do sleep 0.05; done"; }
start() { zn-schedd --detach --spool "$ZENITH_SPOOL" "$@"; }
# nodes LINE...: zn-schedd serves these, and all of them have said what they have.
nodes() {
	unset ZENITH_MOCK_GPUS
	printf '%s\n' "$@" >nodes
	start --nodes nodes
	export ZENITH_AUTOSTART=no
	until_true all_up "$#"
}
nodes_are() { zn-queue nodes -o csv --no-heading --fields node_id,state; }
all_up() { [ "$(nodes_are | grep -c ',up$')" -eq "$1" ]; }
is_node() { nodes_are | grep -qx "$1,$2"; } # NAME STATE
where_is() { zn-queue show -o json "$1" | sed -n 's/.*"alloc":\[{"node":"\([^"]*\)","gpus":\(\[[^]]*\]\).*/\1 \2/p'; }
agent_of() { local p; for p in $(pid_of zn-noded); do tr '\0' '\n' <"/proc/$p/cmdline" | grep -qx "$1" && echo "$p"; done; return 0; }
start_after_kill() { kill -9 "$(pid_of zn-schedd)"; until_true start; } # its lock goes with the last of its threads
# until_there FILE OPTION...: a job that runs until that file is there.
until_there() { zn-submit "${@:2}" -- /bin/sh -c "until [ -e '$dir/$1' ]; do sleep 0.05; done"; }
