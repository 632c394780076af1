#!/usr/bin/env bats
# zn-bench: what a user sees.  Figures decide nothing here.
bats_require_minimum_version 1.5.0

setup() { cd "$BATS_TEST_TMPDIR" || exit; }

two_cpus() { [ "$(nproc)" -ge 2 ] || skip "a ring between two CPUs needs two"; }

@test "list says what can be measured" {
	run -0 zn-bench list -o json
	[[ $output == *'"bench":"ring"'*'"peers":"ck_ring,rte_ring"'* ]]
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

@test "alloc says which pages it got, and is measured beside malloc and mmap" {
	zn-bench alloc -r 1 --size 64M --against mmap -o json >out
	grep -q '"name":"2.0M","value":.*"unit":"ns",.*"against":"mmap",.*"ratio":.*"note":"[^"]*\(pages\|hugetlb\)' out
	grep -q '"name":"32.0M, each page written to"' out
	grep -q '"name":"4.0K".*"note":"heap"' out
	[ "$(zn-bench alloc -r 1 --size 64M --against malloc -o json | grep -c '"against":"malloc","peer_median":')" -eq "$(wc -l <out)" ]
}

@test "mem has each figure for one CPU and for all, and says how it stored" {
	zn-bench mem -r 1 --size 64M -o json >out
	for what in copy triad read; do
		grep -q "\"name\":\"$what, 1 thread[\" ].*\"unit\":\"GB/s\",.*\"note\":\"arrays of 64.0M" out
		[ "$(nproc)" -eq 1 ] || grep -q "\"name\":\"$what, $(nproc) threads" out || [ -e /sys/devices/system/node/node1 ]
	done
	grep -q '"name":"copy, .*plain stores"' out
	run ! grep '"name":"[^"]*past the caches.*plain stores' out
}

@test "chase goes from a size within the first cache to the one that is asked for, twice as large each time" {
	zn-bench chase -r 1 --size 16M --against small-pages -o json >out
	head -n 1 out | grep -q '"name":"16.0K".*"unit":"ns"'
	tail -n 1 out | grep -q '"name":"16.0M"'
	[ "$(wc -l <out)" -eq 11 ]
	[ "$(grep -c '"against":"small-pages"' out)" -eq "$(wc -l <out)" ]
}

@test "pipe has the CPU time of each figure" {
	two_cpus
	zn-bench pipe -r 1 -o json >out
	[ "$(grep -c '"unit":"GB/s"' out)" -eq 15 ]
	[ "$(grep -c 'CPU time".*"unit":"s/GB"' out)" -eq 15 ]
	for how in write "writev of 16" vmsplice; do
		for piece in 4.0K 16.0K 64.0K 256.0K 1.0M; do grep -q "\"name\":\"$how, $piece\"" out; done
	done
}

@test "record packs the same bytes as msgpack-c, and is measured beside it" {
	zn-bench record -r 2 --against msgpack-c -o json >out
	[ "$(wc -l <out)" -eq 3 ]
	[ "$(grep -c '"unit":"records/s".*"against":"msgpack-c"' out)" -eq 2 ]
}

@test "io reads a file that it makes, or the one it is given, and leaves nothing behind" {
	zn-bench io -r 1 --size 4M -o json >out
	[ "$(grep -c 'out of' out)" -eq 2 ]
	if ! grep -q 'has no O_DIRECT' out; then
		[ "$(grep -c '"name":"one after another, 1.0M, [0-9]* deep".*"unit":"GB/s".*"note":"O_DIRECT' out)" -eq 6 ]
		[ "$(grep -c '"name":"at random, 4.0K, [0-9]* deep".*"unit":"reads/s".*"note":"O_DIRECT' out)" -eq 6 ]
	fi
	head -c 3M /dev/urandom >data
	zn-bench io -r 1 --file data -o json | grep -q '"note":'
	[ "$(sort <(ls -A))" = "$(printf '%s\n' data out)" ]
}

@test "io is measured beside fio, or it is said that there is none" {
	run zn-bench io -r 1 --size 4M --against fio -o json
	if [ "$status" = 0 ]; then
		[[ $output == *"has no O_DIRECT"* || $(grep -c '"against":"fio","peer_median":' <<<"$output") -eq 12 ]]
	elif command -v fio >/dev/null; then
		[[ $status == 71 && $output == *"fio failed: "* ]] # where the kernel lets nobody have an io_uring
	else
		[[ $status == 71 && $output == *"fio is not installed"* ]]
	fi
}

@test "io that is interrupted leaves no file" {
	run -124 timeout -s INT 2 zn-bench io --size 16M -o json # which would take much longer
	[ -z "$(ls -A)" ]
}

@test "load reads a shard of its own, or those it is given, and each byte that libarchive reads" {
	run zn-bench load -r 1 -o csv --no-heading --fields bench,name,unit,n
	[ "$output" = "$(printf 'load,CPU time of a sample,us,1\nload,bytes looked at,GB/s,1')" ]
	printf '%0100000d' 7 >1.txt
	cp 1.txt 2.txt
	tar -cf a.tar 1.txt 2.txt
	run zn-bench load -r 1 --file a.tar --against libarchive -o json
	if zn-bench list -o json | grep -q libarchive && [ "$status" -ne 0 ]; then
		[[ $output == *"was built without libarchive"* ]]
	else
		[ "$(grep -c '"against":"libarchive","peer_median":' <<<"$output")" -eq 2 ]
	fi
	run -71 zn-bench load --file nothing.tar
	[ "$(ls)" = "$(printf '1.txt\n2.txt\na.tar')" ]
}

@test "spool measures the journal beside files and bare flushes, with a flush for each round, and leaves nothing behind" {
	mkdir in
	zn-bench spool -r 1 --file in --against files -o json >out
	[ "$(grep -c '"name":"[0-9]* a flush".*"unit":"records/s".*"against":"files"' out)" -eq 3 ]
	zn-bench spool -r 1 --file in --against fdatasync -o json >out
	[ "$(grep -c '"against":"fdatasync"' out)" -eq 3 ]
	[ "$(grep -c '"name":"read back"' out)" -eq 1 ]
	[ -z "$(ls -A in)" ]
	run -71 zn-bench spool --file nothing
	[[ $output == *"can't make a directory in 'nothing'"* ]]
}

@test "a peer is measured by turns, or it is said that it is not there" {
	two_cpus
	beside() { # PEER PACKAGE FIGURES
		run zn-bench ring --rounds 1 --against "$1" -o json
		if [ "$status" = 0 ]; then
			[ "$(grep -c "\"against\":\"$1\"" <<<"$output")" -eq "$3" ]
		else
			[ "$status" = 71 ]
			[[ $output == *"was built without $1: install $2"* ]]
		fi
	}
	beside ck_ring libck-dev 2
	beside rte_ring libdpdk-dev 4
}

@test "where there is one CPU it says so, and measures what one can" {
	one_cpu() { taskset -c "$(taskset -cp $$ | grep -o '[0-9]*$')" zn-bench "$@"; }
	run -71 one_cpu ring
	[[ $output == *"ring needs two CPUs, and this process may use one"* ]]
	run -71 one_cpu pipe
	[[ $output == *"pipe needs two CPUs"* ]]
	run -0 one_cpu record -r 1 -o json
	[[ $output == *'"bench":"record"'* ]]
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
	wrong 64 "--file is an option of io, load and spool" ring --file x
	wrong 64 "nothing of that has a size" ring --size 4M
	wrong 64 "'--size': less than 1M" io --size 4K
	wrong 71 "can't look at 'nothing'" io --file nothing
	wrong 64 "is no file, directory or disk" io --file /dev/null
	: >empty
	wrong 64 "it needs a file of at least that" io --file empty
	wrong 71 "can't open 'nothing'" ring --compare nothing
	echo nonsense >nonsense
	wrong 65 "" ring --compare nonsense
	echo '{"kind":"bench","bench":"ring"}' >half
	wrong 65 "is no result of zn-bench" ring --compare half
	echo '{"kind":"job","id":1}' >others
	two_cpus
	run -0 zn-bench latency --compare others
}
