#!/usr/bin/env bats
# Loss of power on a small disk of its own: what was acknowledged is there when it comes back.
# alone: a disk that was shut down stays so while a mount namespace, as other tests have them, still shows it
load queue

small_disk() {
	[ "$(id -u)" = 0 ] || skip "only root can mount a disk"
	command -v mkfs.ext4 >/dev/null || skip "there is no mkfs.ext4"
	truncate -s 128M disk && mkfs.ext4 -q -F disk && mkdir small
	mount -o loop disk small 2>/dev/null || skip "no file can be mounted as a disk here"
	export ZENITH_SPOOL=$dir/small/spool
	return 0
}

# Everything that was running dies with the machine; its disk keeps what it had.  All stop first: a machine without power says
# nothing more, while one whose disk alone is gone may hear from its kernel that it was in time.
lose_power() {
	until_true all_have_stopped
	"${B:-build}/tests/powerloss" small
	until_true all_are_dead
	until_true umount small
	mount -o loop disk small
}
pids_of_spool() {
	local spool=$ZENITH_SPOOL
	ZENITH_SPOOL='' grep -lsF "ZENITH_SPOOL=$spool" /proc/[0-9]*/environ | cut -d/ -f3
}
# Or are in a system call from which they do not come back before.
all_have_stopped() {
	local pid pids
	pids=$(pids_of_spool)
	for pid in $pids; do kill -STOP "$pid" 2>/dev/null || :; done
	for pid in $pids; do
		! cat "/proc/$pid"/task/*/stat 2>/dev/null | sed 's/.*) //' | grep -qv '^[TtDZX]' || return 1
	done
}
all_are_dead() {
	local pid pids
	pids=$(pids_of_spool)
	for pid in $pids; do kill -KILL "$pid" 2>/dev/null || :; done
	[ -z "$pids" ]
}

put_away() {
	zn-schedd --stop
	until_true none_is_left
	umount small
	export ZENITH_SPOOL=$dir/spool
}

records() { # FIRST LAST
	local i
	for ((i = $1; i <= $2; i++)); do
		echo '{"key":"k'"$i"'","command":"true","hold":true,"environment":{"A":"b"},"directory":"/","output":"/dev/null"}'
	done
}

@test "what zn-submit said yes to is there after a loss of power, again and again" {
	small_disk
	for round in 1 2 3 4 5; do
		records $((round * 1000)) $((round * 1000 + 400)) | zn-submit --timeout 1s --records >>numbers 2>/dev/null 3>&- &
		submitter=$!
		until_true has_lines $((round * 20)) numbers
		lose_power
		wait $submitter || :
		sed -n '$!p' numbers >whole # the last line may be half
		mv whole numbers
		zn-schedd --check-spool >check || { cat check; false; }
		zn-schedd --detach # which shows the queue anew
		zn-queue list --all -o csv --no-heading --fields id | tr -d '"' | sort -n >there
		sort -n numbers | uniq >said
		[ -z "$(comm -23 <(sort said) <(sort there))" ] || { comm -23 <(sort said) <(sort there); false; }
	done
	[ "$(uniq -d <there)" = "" ]
	put_away
}

@test "an end that was shown before a loss of power is the same after it; what ran is lost, and says so" {
	small_disk
	id=$(zn-submit --output /dev/null -- sh -c 'exit 7')
	run -7 zn-submit --wait --key again --output /dev/null -- sh -c 'exit 7'
	long=$(zn-submit --output /dev/null -- sleep 300)
	await RUNNING "$long"
	lose_power
	zn-submit --wait -- true
	[ "$(field exit_code "$id")" = 7 ]
	[ "$(field exit_code key:again)" = 7 ]
	run -1 timeout 60 zn-queue wait "$long"
	[[ $(field reason "$long") == lost* ]]
	put_away
}
