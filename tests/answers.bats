#!/usr/bin/env bats
# What zn-queue answers about jobs that run or have ended, and about the machine.
bats_require_minimum_version 1.5.0

setup() {
	export ZENITH_SPOOL=$BATS_TEST_TMPDIR/s ZENITH_LEASE_DIR=$BATS_TEST_TMPDIR/l ZENITH_MOCK_GPUS=8
	cd "$BATS_TEST_TMPDIR" || return
	mkfifo go
}

teardown() {
	mapfile -t left < <(zn-queue list -o csv --fields id --no-heading)
	[ ${#left[@]} -eq 0 ] || { zn-queue cancel --signal KILL "${left[@]}"; zn-queue wait "${left[@]}" || true; }
	zn-schedd --stop
}

state_is() { [ "$(zn-queue show -o csv --fields state --no-heading "$job")" = "$1" ]; }

# Starts a job that reads from the FIFO go, and waits until the queue has heard of it.
start() {
	job=$(zn-submit "$@" -- sh -c 'echo up >up; read -r _ <go')
	read -r _ <up
	for ((i = 0; i < 1000; i++)); do state_is RUNNING && return; done
	return 1
}

@test "why says what became of a job that ended" {
	zn-submit --wait -- true
	run -3 zn-submit --wait -- sh -c 'exit 3'
	[ "$(zn-queue why -o table 1)" = "job 1 is COMPLETED: it ended as it should" ]
	[ "$(zn-queue why -o table 2)" = "job 2 is FAILED: exit code 3" ]
}

@test "nodes counts the jobs that run, and what they leave free" {
	mkfifo up
	start -g 3
	[ "$(zn-queue nodes -o csv --fields jobs,gpus,gpus_free --no-heading)" = 1,8,5 ]
	[ "$(zn-queue why -o table "$job")" = "job $job is RUNNING: nothing keeps it" ]
	echo on >go
	zn-queue wait "$job"
	[ "$(zn-queue nodes -o csv --fields jobs,gpus,gpus_free --no-heading)" = 0,8,8 ]
}

@test "nodes --usage shows in its table what it measured" {
	zn-submit --wait -- true
	run --separate-stderr -0 zn-queue nodes --usage -o json
	[[ $output == *'"cpu_utilization_pct":'*'"mem_available_bytes":'* ]]
	run --separate-stderr -0 zn-queue nodes --usage -o table
	[ "$(awk 'NR == 2 { print NF }' <<<"$output")" -eq 6 ]
}
