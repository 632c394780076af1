#!/usr/bin/env bats
# What zn-schedd decided is what the same functions decide again from what it has on record.
load queue

@test "a recorded run, with arrays, quotas, licences, deadlines, backfill, preemption and freezing, is decided again as it was" {
	# No fair share: that is weighed anew once a second, also in a look at the queue that starts nobody and leaves no record.
	printf '[quota account:few]\nrunning = 2\n[licences]\nvcs = 2\n[queue]\ngrace = 5s\n[fair_share]\nhalf_life = 0\n' >conf
	export ZENITH_CONFIG=$dir/conf
	job() { # GPUS LIMIT PRIORITY SECONDS MORE
		printf '{"command":"sleep","arguments":["%s"],"directory":"/tmp","output":"/dev/null",' "$4"
		printf '"resources":{"gpus":%d,"time_limit_s":%d%s},"policy":{"priority":%d%s}}\n' "$1" "$2" "${6-}" "$3" "${5-}"
	}
	RANDOM=7
	for i in {1..40}; do
		case $((i % 8)) in
		0) more=',"account":"few"' ;;
		1) more=',"array":"0-5%2"' ;;
		2) more=',"preemptible":true' ;;
		3) more=',"after":[{"job":'$((i > 3 ? i + 6 : 1))',"on":"any"}]' ;;
		4) more=',"deadline_s":'$(($(date +%s) + 36000)) ;;
		*) more= ;;
		esac
		licence=
		[ $((i % 5)) -ne 0 ] || licence=',"licences":{"vcs":1}'
		[ "$i" -ne 3 ] || more=
		job $((1 + RANDOM % (i % 4 ? 3 : 8))) $((60 + RANDOM % 7200)) $((i % 8 == 2 ? -1 : i % 7 == 0 ? 2 : 0)) 0.$((RANDOM % 40)) "$more" "$licence"
	done >records
	for i in {1..6}; do job 1 3600 -3 2 ',"preemptible":true'; done | zn-submit --records >numbers
	job 0 3600 -3 1 ',"preemptible":true' ',"cpus":'"$(nproc)" | zn-submit --records >>numbers # is frozen for the next one
	await RUNNING 6
	await RUNNING 7
	job 0 3600 1 0.2 '' ',"cpus":1' | zn-submit --records >>numbers
	head -20 records | zn-submit --records >>numbers
	sleep 0.5
	tail -20 records | zn-submit --records >>numbers
	zn-queue cancel 17.5 || :
	mapfile -t ids <numbers
	zn-queue wait --timeout 100s "${ids[@]}" || [ $? -eq 1 ]
	zn-queue events -o csv --no-heading --fields event,job.id | grep -q '^resumed,7$'
	zn-schedd --stop
	run replay "$ZENITH_SPOOL/journal" "$dir/conf"
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *" 0 otherwise" ]]
	[[ $output =~ ([0-9]+)" starts, "([0-9]+)" preemptions" ]]
	[ "${BASH_REMATCH[1]}" -ge 60 ]
	[ "${BASH_REMATCH[2]}" -ge 2 ]
	sed -i 's/running = 2/running = 0/' conf                         # other rules would have decided otherwise
	run -1 replay "$ZENITH_SPOOL/journal" "$dir/conf"
}
