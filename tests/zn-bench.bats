#!/usr/bin/env bats
# zn-bench: what a user sees.  Figures decide nothing here.
bats_require_minimum_version 1.5.0

setup() { cd "$BATS_TEST_TMPDIR" || exit; }

two_cpus() { [ "$(nproc)" -ge 2 ] || skip "a ring between two CPUs needs two"; }

@test "list says what can be measured" {
	run -0 zn-bench list -o json
	[[ $output == *'"bench":"ring"'*'"peers":"ck_ring"'* ]]
	[[ $output == *'"bench":"latency"'* ]]
}

@test "each figure is a record with its spread, and says where it was measured" {
	two_cpus
	zn-bench ring --rounds 2 -o json >out
	[ "$(wc -l <out)" -eq 4 ]
	for name in "one at a time" "16 at a time" "64 at a time" "there and back"; do
		grep '"bench":"ring"' out | grep "\"name\":\"$name\"" | grep -q '"n":2,.*"spread":.*"machine":"'
	done
	awk -F'"value":' '{ split($2, v, ","); exit !(v[1] > 0) }' out
}

@test "latency has so many measurements that a 99.9th part is known" {
	two_cpus
	for how in spin yield sleep; do
		zn-bench latency --wait $how -o json | grep -q '"unit":"us","n":100000,.*"p999":'
	done
}

@test "a kept result is compared with the next one" {
	two_cpus
	zn-bench latency -o msgpack >before
	zn-bench latency --compare before -o json | grep -q '"against":"before","peer_median":.*"ratio":'
	zn-fmt before -o json | sed 's/"bench":"latency"/"bench":"other"/' >other
	run ! grep -q against <(zn-bench latency --compare other -o json)
}

@test "a peer is measured by turns, or it is said that it is not there" {
	two_cpus
	run zn-bench ring --rounds 2 --against ck_ring -o json
	if [ "$status" = 0 ]; then
		[ "$(grep -c '"against":"ck_ring"' <<<"$output")" -eq 2 ]
	else
		[ "$status" = 71 ]
		[[ $output == *"was built without ck_ring: install libck-dev"* ]]
	fi
}

@test "where there is one CPU it says so" {
	run -71 taskset -c "$(taskset -cp $$ | grep -o '[0-9]*$')" zn-bench ring
	[[ $output == *"ring needs two CPUs, and this process may use one"* ]]
}

@test "what makes no sense is refused with a sentence" {
	wrong() { # CODE SENTENCE ARG...
		local code=$1 sentence=$2
		shift 2
		run "-$code" zn-bench "$@"
		[[ $output == *"$sentence"* ]] || { echo "$*: $output"; return 1; }
	}
	wrong 64 "what is to be measured?"
	wrong 64 "there is no 'speed' to measure" speed
	wrong 64 "latency is not measured against 'ck_ring'" latency --against ck_ring
	wrong 64 "--against needs the name" all --against ck_ring
	wrong 64 "not from 1 to 1000" ring --rounds 0
	wrong 64 "not from 1 to 1000" ring --rounds 1001
	wrong 64 "exclude each other" ring --against ck_ring --compare x
	wrong 64 "list measures nothing" list --rounds 3
	wrong 71 "can't open 'nothing'" ring --compare nothing
	echo nonsense >nonsense
	wrong 65 "" ring --compare nonsense
	echo '{"kind":"bench","bench":"ring"}' >half
	wrong 65 "is no result of zn-bench" ring --compare half
	echo '{"kind":"job","id":1}' >others
	two_cpus
	run -0 zn-bench latency --compare others
}
