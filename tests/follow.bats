#!/usr/bin/env bats
# What a job that is watched shows, and how it is asked to end.
bats_require_minimum_version 1.5.0

setup() {
	export ZENITH_SPOOL=$BATS_TEST_TMPDIR/s ZENITH_LEASE_DIR=$BATS_TEST_TMPDIR/l ZENITH_MOCK_GPUS=0
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	mapfile -t left < <(zn-queue list -o csv --fields id --no-heading)
	[ ${#left[@]} -eq 0 ] || { zn-queue cancel --signal KILL "${left[@]}"; zn-queue wait "${left[@]}" || true; }
	zn-schedd --stop
}

# Ends on USR1 with 7 and on TERM with 8; writes to the FIFO it is given when it can.
trapper='trap "exit 7" USR1; trap "exit 8" TERM; echo go >"$1"; while :; do sleep 0.05; done'

@test "--follow shows what the job writes, not what lay at its output before" {
	echo stale >zn-1.out
	run --separate-stderr -0 zn-submit --follow -- sh -c 'echo one; echo two'
	[ "$output" = $'one\ntwo' ]
}

@test "zn-queue log -f waits for the job's start before it reads" {
	echo stale >out
	job=$(zn-submit --hold --output out -- echo fresh)
	zn-queue log -f "$job" >seen &
	reader=$!
	zn-queue release "$job"
	wait $reader
	[ "$(cat seen)" = fresh ]
}

@test "a job over its time limit gets the signal it asked for" {
	run --separate-stderr -8 zn-submit -t 1 --wait -- bash -c "$trapper" sh /dev/null
	run --separate-stderr -7 zn-submit -t 1 --signal USR1 --wait -- bash -c "$trapper" sh /dev/null
}

@test "a job that is cancelled gets the signal it asked for, unless who cancels names another" {
	mkfifo ready
	for signal in "" TERM; do
		job=$(zn-submit --signal USR1 -- bash -c "$trapper" sh "$PWD/ready")
		read -r _ <ready
		zn-queue cancel ${signal:+--signal "$signal"} "$job"
		run -1 zn-queue wait "$job"
		want=7
		[ -z "$signal" ] || want=8
		[ "$(zn-queue show -o csv --fields state,exit_code --no-heading "$job")" = "CANCELLED,$want" ]
	done
}
