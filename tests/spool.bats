#!/usr/bin/env bats
# The spool as somebody meets it who keeps it: written by an older release, copied, damaged.
load queue

journal_of() { mkdir -m 700 "$ZENITH_SPOOL" "$ZENITH_SPOOL/journal" && cp "$1"/* "$ZENITH_SPOOL/journal/"; }

@test "the journal of every release is still read: its jobs, keys and ends are there, and what waits can run" {
	for release in "$BATS_TEST_DIRNAME"/fixtures/spools/*/; do
		export ZENITH_SPOOL=$dir/spool
		rm -rf "$ZENITH_SPOOL"
		journal_of "$release"
		run -0 zn-schedd --check-spool
		[[ $output == *"3 jobs, 0 damaged"*" 0 records that contradict"* ]]
		start
		zn-queue release 1
		run -1 timeout 60 zn-queue wait 1
		[ "$(field exit_code key:held)" = 3 ] # its environment too
		[ "$(field exit_code key:ended)" = 7 ]
		[ "$(state key:gone)" = CANCELLED ]
		run -0 zn-schedd --stop
		until_true none_is_left
	done
}

@test "a copy of the spool that was made while jobs were submitted is a backup" {
	zn-submit --hold --key first -- true
	for i in {1..300}; do echo '{"command":"true","hold":true,"environment":{"A":"b"},"directory":"/"}'; done |
		zn-submit --records >numbers &
	pid=$! # until_true starts processes of its own
	until_true has_lines 20 numbers
	before=$(grep -c '' numbers)
	cp -a "$ZENITH_SPOOL/journal" backup
	wait "$pid"
	zn-schedd --stop
	until_true none_is_left
	rm -rf "$ZENITH_SPOOL"
	mkdir -m 700 "$ZENITH_SPOOL"
	cp -a backup "$ZENITH_SPOOL/journal"
	run -0 zn-schedd --check-spool
	[ "$(zn-submit --hold --key first -- true)" = 1 ]
	for id in $(head -n "$before" numbers); do echo "$id"; done | sort >wanted
	zn-queue list -o csv --no-heading --fields id | tr -d '"' | sort >there
	[ -z "$(comm -23 wanted there)" ]
}

@test "--check-spool finds damage of every kind, and changes nothing" {
	for i in 1 2 3 4; do zn-submit --hold -n "marker$i" --output /dev/null -- true; done
	zn-schedd --stop
	until_true none_is_left
	f=$(ls "$ZENITH_SPOOL"/journal/*.zj)
	cp "$f" good
	damage() { # SHELL: what it does to the file "bad" is found
		cp good bad
		eval "$1"
		cat bad >"$f"
		run -1 zn-schedd --check-spool
		[[ $output == *"bytes at offset"* || $output == *"record "* ]] || { echo "$1: $output"; return 1; }
		cmp bad "$f"
	}
	export size at # for the pieces of shell
	size=$(perl -0777 -pe 's/\0+\z//' good | wc -c)
	at=$(grep -abo marker2 good | head -n 1 | cut -d: -f1)
	damage 'printf X | dd of=bad bs=1 seek=$at conv=notrunc status=none'        # a byte of a record
	damage 'printf "\1\2\3\4" | dd of=bad bs=1 seek=0 conv=notrunc status=none' # the head of the first one
	damage 'dd if=/dev/zero of=bad bs=1 seek=$at count=300 conv=notrunc status=none'
	damage '{ head -c 200 good; tail -c +301 good; } >bad'                     # a piece is missing
	damage 'dd if=/dev/urandom of=bad bs=1 seek=$((size / 2)) count=100 conv=notrunc status=none'
	cat good >"$f"
	run -0 zn-schedd --check-spool
	[ "$(zn-submit --hold -- true)" = 5 ]
}
