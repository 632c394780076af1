#!/usr/bin/env bats
# What zn-schedd and zn-noded make of each other: starts that are put off, and wishes that cross them.
bats_require_minimum_version 1.5.0

setup() {
	dir=$(mktemp -d "${TMPDIR:-/tmp}/agent.XXXXXX")
	export ZENITH_SPOOL=$dir/spool ZENITH_LEASE_DIR=$dir/leases ZENITH_MOCK_GPUS=4 PATH=${B:-build}/tests:$PATH
	unset ZENITH_JOB_ID
	mkdir -m 700 "$ZENITH_SPOOL"
	cd "$dir" || return
}

teardown() {
	local s pid
	for s in "$dir"/spool*; do
		zn-schedd --stop --spool "$s" || true
		pid=$(nodectl "$s" <<<$'!hello\n!wait kind=hello' 2>/dev/null | field pid) || continue
		kill "$pid" && until_true ended "$pid"
	done
	cd /
	rm -rf "$dir"
}

field() { sed -n 's/.*"'"$1"'":"\{0,1\}\([^,"}]*\).*/\1/p' | tail -n 1; }
until_true() { for ((i = 0; i < 2000; i++)); do "$@" && return; read -rt 0.01 <> <(:) || :; done; return 1; }
ended() { [ ! -e "/proc/$1" ]; }
job() { zn-queue show "$1" -o json; }
is() { job "$2" | grep -q "\"state\":\"$1\""; }
idle() { [ -z "$(zn-queue -o json)" ]; }
in_state() { [[ $(sed 's/.*) \(.\).*/\1/' "/proc/$2/stat" 2>/dev/null) == ["$1"] ]]; }
frozen() { grep -q 'frozen 1' "$(cgroup_of "$1")/cgroup.events" 2>/dev/null || in_state T "$1"; }
thawed() { ! frozen "$1"; }
cgroup_of() {
	echo "$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)$(sed -n 's/^0:://p' "/proc/$1/cgroup")"
}
held_outside() { zn-queue why "$1" -o json | grep -q "gpu 0: pid [0-9]* of $(id -un) (.*), outside the queue"; }
attempts() { [ "$(job "$1" | field attempt)" -ge "$2" ]; }

@test "a start that is put off is tried again at growing intervals, and runs when what was in the way is gone" {
	mkdir -m 777 "$ZENITH_LEASE_DIR"
	from=$(date +%s%N)
	id=$(zn-submit -g 1 -- true)
	until_true attempts "$id" 3
	[ $(($(date +%s%N) - from)) -ge 1400000000 ]
	job "$id" | grep -q "\"reason\":\"lease directory '$ZENITH_LEASE_DIR' is not sticky"
	zn-submit --wait -- true # what needs no GPU does not wait
	chmod 1777 "$ZENITH_LEASE_DIR"
	timeout 20 zn-queue wait "$id"
}

@test "a GPU that a stranger took a moment ago is not asked for again and again" {
	mkdir -m 700 "$dir/spool2"
	zn-submit --wait -- true
	stranger=$(ZENITH_SPOOL=$dir/spool2 zn-submit -g 4 -- sleep 300)
	ZENITH_SPOOL=$dir/spool2 until_true is RUNNING "$stranger"
	id=$(zn-submit -g 1 -- true)
	until_true held_outside "$id"
	ZENITH_SPOOL=$dir/spool2 zn-queue cancel "$stranger"
	timeout 20 zn-queue wait "$id"
	attempts "$id" 2
	run ! attempts "$id" 3
}

@test "a cancel that meets a job between its place and its start is not lost" {
	zn-submit --wait -- true
	crossing "$ZENITH_SPOOL" 60
	until_true idle
	[ "$(zn-queue history -o json | grep -c '"CANCELLED"')" = 60 ]
	[ -z "$(zn-queue history -o json | grep '"CANCELLED"' | grep -v end_s)" ] # they ended, though they never began
}

@test "an agent that is in another mind than zn-schedd is brought to its" {
	id=$(zn-submit -- sh -c "echo \$\$ >$dir/pid; exec sleep 300")
	until_true [ -s "$dir/pid" ]
	until_true is RUNNING "$id"
	schedd=$(pgrep -f "^zn-schedd --detach --spool $ZENITH_SPOOL\$")
	kill -STOP "$schedd"
	# a wish that the agent heard and zn-schedd did not live to note
	{
		printf '!hello\n{"kind":"steer","op":"suspend","job":%d,"attempt":1}\n' "$id"
		until_true frozen "$(cat "$dir/pid")"
		touch "$dir/was-frozen"
	} | nodectl "$ZENITH_SPOOL"
	[ -e "$dir/was-frozen" ]
	kill -CONT "$schedd"
	until_true thawed "$(cat "$dir/pid")"
	zn-queue cancel "$id"
}

@test "a machine that can't be read is named as the cause: by the node, by why, in both logs" {
	export ZENITH_MOCK_GPUS=some
	id=$(zn-submit -- true)
	cause="this machine can't be read: mock GPUs 'some' are not N or N:MODEL"
	names_it() { zn-queue why "$id" -o table | grep -qF "$cause"; }
	until_true names_it
	[ "$(zn-queue nodes -o csv --fields state,reason --no-heading | tr -d '"')" = "down,$cause" ]
	grep -qF "$cause" "$ZENITH_SPOOL/node/log"
	[ "$(grep -cF "$cause" "$ZENITH_SPOOL/schedd.log")" = 1 ]
	zn-queue cancel "$id"
}

@test "an agent of a later or an earlier release is understood: what is new is skipped, what is missing has a default" {
	topology=[$(zn-topo -o json | paste -sd,)]
	told() { grep -q "\"kind\":\"$1\"" "$2"; }
	for release in later earlier; do
		export ZENITH_SPOOL=$dir/spool-$release
		mkdir -m 700 "$ZENITH_SPOOL"
		if [ "$release" = later ]; then
			hello=',"version":1000,"mood":{"a":[1,null]}' more=',"later":{"x":1}' new='{"kind":"forecast","rain":true}'
		else
			hello=',"version":1' more='' new=''
		fi
		{
			echo '!wait kind=hello'
			printf '{"kind":"hello"%s}\n%s\n{"kind":"state","topology":%s%s}\n!wait kind=start job=1\n' \
				"$hello" "$new" "$topology" "$more"
			printf '{"kind":"report","what":"exited","seq":1,"job":1,"attempt":1,"exit_code":3%s}\n!wait kind=ack seq=1\n' "$more"
			echo '!wait kind=start job=2'
			printf '{"kind":"report","what":"refused","seq":2,"job":2,"attempt":1,"reason":"no"%s}\n!wait kind=ack seq=2\n' "$more"
		} | nodectl --agent "$ZENITH_SPOOL" >said 3>&- &
		until_true [ -S "$ZENITH_SPOOL/node/sock" ]
		zn-submit -g 1 -- true
		run -1 timeout 60 zn-queue wait 1
		job 1 | grep -q '"state":"FAILED".*"exit_code":3'
		zn-submit -- true
		run -1 timeout 60 zn-queue wait 2
		job 2 | grep -q '"state":"FAILED".*"reason":"no"'
		run ! grep "makes no sense" "$ZENITH_SPOOL/schedd.log"
		zn-submit --wait -- true # by an agent of this release, which follows
	done
}
