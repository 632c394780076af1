#!/usr/bin/env bats
# Parts of a GPU: several jobs of one user on one device, as thousandths of it and of its memory.  A mock h100 has 79.6G.
load queue

quick() { zn-submit --output /dev/null "$@"; }
why() { zn-queue why -o table "$1" | head -n 1; }
gpus() { zn-queue show -o json "$1" | sed -n 's/.*"gpus":\(\[[^]]*\]\).*/\1/p'; }
# A job that runs until the file of this name is there.
until_there() { quick "${@:2}" -- /bin/sh -c "until [ -e '$dir/$1' ]; do sleep 0.02; done"; }
no() { run --separate-stderr -"$1" quick "${@:3}" -- true; [ "${stderr%%$'\n'*}" = "zn-submit: $2" ] || { echo "$stderr"; false; }; }
lease_is_free() { flock -n "$(echo "$dir"/leases/*)" true; }

@test "quarters of a GPU fill it, one after the other, before the next is broken up; whole GPUs are those without any" {
	export ZENITH_MOCK_GPUS=2
	for i in 1 2 3 4 5; do until_there go --gpu-share 0.25; done
	for i in 1 2 3 4 5; do await RUNNING $i; done
	[ "$(for i in 1 2 3 4 5; do gpus $i; done | sort | uniq -c | sort -n | tr -s ' \n' ' ')" = " 1 [1] 4 [0] " ]
	[ "$(field gpu_share 1) $(field gpu_milli 1)" = "0.25 250" ]
	zn-queue show -o table 1 | grep -qx "asked          1 task, 0.25 of a gpu, time limit none"
	zn-queue show -o table 1 | grep -q "^placed .* gpus 0 (0.25 of it)"
	quick -g 1 -- true
	[ "$(why 6)" = "job 6 is QUEUED: needs 1 gpu; none of 2 is free" ]
	zn-queue cancel --grace 0 5
	zn-queue wait 6
	[ "$(gpus 6)" = "[1]" ]
	[ -z "$(field gpu_milli 6)" ]
	touch go
	zn-queue wait 1 2 3 4
	awk "BEGIN { exit !($(field gpu_s 1) > 0 && $(field gpu_s 1) < 0.26 * ($(field end_s 1) - $(field start_s 1))) }"
	quick -w -g 2 -- true
}

@test "a job sees the GPU of its part, and what MPS holds a process to; as many tasks divide that" {
	see='echo "$CUDA_VISIBLE_DEVICES ${CUDA_MPS_ACTIVE_THREAD_PERCENTAGE-none} ${CUDA_MPS_PINNED_DEVICE_MEM_LIMIT-none}"'
	seen() { zn-submit -f --env CUDA_MPS_ACTIVE_THREAD_PERCENTAGE=77 "$@" -- /bin/sh -c "$see"; }
	[ "$(seen --gpu-share 0.25)" = "0 25 none" ]
	[ "$(seen --gpu-share 0.004)" = "0 1 none" ]
	[ "$(seen --gpu-share 0.25 --gpu-mem 10G)" = "0 25 0=10240M" ]
	[ "$(seen -g 1 --gpu-mem 10G)" = "0 13 0=10240M" ]
	[ "$(seen --gpu-share 0.5 --gpu-mem 10G --tasks 2 | sort -u)" = "0 25 0=5120M" ]
	[ "$(seen -g 1)" = "0 77 none" ]
	printf '#!/bin/sh\n#ZN --gpu-share 0.3\n%s\n' "$see" >script
	[ "$(zn-submit -f script)" = "0 30 none" ]
}

@test "a part by memory is that part of the GPU, rounded up; with both, both must be left" {
	export ZENITH_MOCK_GPUS=1:h100
	until_there go --gpu-mem 10G
	await RUNNING 1
	[ "$(field gpu_milli 1) $(field gpu_mem_bytes 1) $(field gpu_share 1)" = "126 10737418240 " ]
	until_there go --gpu-mem 60G --gpu-share 0.1
	await RUNNING 2
	quick --gpu-mem 10G --gpu-share 0.5 -- true
	[ "$(why 3)" = "job 3 is QUEUED: no gpu with 0.5 left has 10.0G of memory left; the most is 9.6G on gpu 0" ]
	zn-queue why -o table 3 | grep -qx "  with 9879M of a gpu's memory it would start now"
	quick -w --gpu-mem 9879M --gpu-share 0.5 -- true
	quick --gpu-share 0.775 -- true
	[ "$(why 5)" = "job 5 is QUEUED: no gpu has 0.775 left; the most is 0.774 on gpu 0" ]
	quick -w --gpu-share 0.774 -- true
	zn-queue cancel --grace 0 1
	zn-queue wait 3 5
	quick --gpu-mem 80G -- true
	[ "$(why 7)" = "job 7 is QUEUED: it can never start here: needs 80.0G of one gpu's memory; the largest has 79.6G" ]
	zn-queue cancel 7
	until_there all --gpu-mem 81559M # which is a GPU
	touch go
	await RUNNING 8
	quick --gpu-share 0.001 -- true
	[ "$(why 9)" = "job 9 is QUEUED: no gpu has 0.001 left; all of them are taken" ]
	touch all
	zn-queue wait 8 9
}

@test "who finds no part is told how much is left, and where; the dry run and the forecast know it, too" {
	export ZENITH_MOCK_GPUS=2
	until_there go --gpu-share 0.8 -t 1h
	until_there go --gpu-share 0.75 -t 2h
	await RUNNING 1
	await RUNNING 2
	quick --gpu-share 0.5 -- true
	[ "$(why 3)" = "job 3 is QUEUED: no gpu has 0.5 left; the most is 0.25 on gpu 1" ]
	zn-queue why -o json 3 >three
	grep -q '"smallest":"with 0.25 of a gpu it would start now"' three
	awk "BEGIN { d = $(sed -n 's/.*"expected_s":\([0-9.]*\).*/\1/p' three) - $(field start_s 1) - 3600; exit !(d < 1 && d > -1) }"
	run -1 zn-submit --dry-run --gpu-share 0.5 -o json -- true
	[[ $output == *'"now":false'*'no gpu has 0.5 left; the most is 0.25 on gpu 1'* ]]
	run -0 zn-submit --dry-run --gpu-share 0.25 -t 1m -o json -- true
	[[ $output == *'"now":true'*'"gpus":[1],"gpu_milli":250'* ]]
	run -0 zn-submit --dry-run --gpu-share 0.1 -t 1m -o json -- true
	[[ $output == *'"gpus":[0],"gpu_milli":100'* ]]
	touch go
	zn-queue wait 1 2 3
}

@test "what is set aside for the first in line is not broken up, unless it is over in time" {
	export ZENITH_MOCK_GPUS=1
	until_there go --gpu-share 0.5 -t 1h
	await RUNNING 1
	quick -g 1 -t 1h -- true
	quick --gpu-share 0.25 -t 2h -- true
	quick --gpu-share 0.25 -t 10m -- true
	zn-queue wait 4
	[ "$(state 2) $(state 3)" = "QUEUED QUEUED" ]
	[ "$(why 3)" = "job 3 is QUEUED: it fits, but would delay job 2, which comes before it" ]
	zn-queue cancel 2 # but for whom it was set aside
	zn-queue wait 3
	quick --gpu-share 0.6 -t 1h -- true
	quick --gpu-share 0.4 -t 2h -- true
	quick --gpu-share 0.41 -t 2h -- true
	zn-queue wait 6
	[ "$(state 5) $(state 7)" = "QUEUED QUEUED" ]
	touch go
	zn-queue wait 1 5 7
}

@test "without time limits, too, nobody has more of a GPU than there is, and everybody starts" {
	export ZENITH_MOCK_GPUS=1
	count='mkdir "$0.$1.$ZENITH_JOB_ID"; n=0; for d in "$0".*; do d=${d#"$0".}; n=$((n + ${d%.*})); done; echo $n >>"$0"; sleep 0.3
	       rmdir "$0.$1.$ZENITH_JOB_ID"'
	for i in 1 2 3 4 5 6; do
		quick --gpu-share 0.3 -- /bin/sh -c "$count" "$dir/sum" 300
		quick --gpu-share 0.55 -- /bin/sh -c "$count" "$dir/sum" 550
		quick -g 1 -- /bin/sh -c "$count" "$dir/sum" 1000
		quick --gpu-share 0.2 -- /bin/sh -c "$count" "$dir/sum" 200
	done >numbers
	xargs zn-queue wait <numbers
	[ "$(grep -c . sum)" -eq 24 ]
	[ "$(sort -n sum | tail -n 1)" = 1000 ]
	grep -qx '850\|750\|500\|600' sum # some did run beside each other
}

@test "the GPU's lease is held once for all parts of it, and given back with the last" {
	export ZENITH_MOCK_GPUS=1
	until_there one --gpu-share 0.5
	await RUNNING 1
	until_there two --gpu-share 0.5
	await RUNNING 2
	run ! lease_is_free
	touch one
	zn-queue wait 1
	[ "$(state 2)" = RUNNING ]
	run ! lease_is_free
	until_there three --gpu-share 0.25
	await RUNNING 3
	touch two
	zn-queue wait 2
	run ! lease_is_free
	touch three
	zn-queue wait 3
	until_true lease_is_free
}

@test "a GPU that a stranger holds is broken up by nobody" {
	export ZENITH_MOCK_GPUS=2
	quick -w --gpu-share 0.5 -- true
	exec 9<"$(echo leases/*)"
	flock -x 9
	until_there go --gpu-share 0.5
	await RUNNING 2
	[ "$(gpus 2)" = "[1]" ]
	quick --gpu-share 0.6 -- true
	until_true eval '[[ $(why 3) == "job 3 is QUEUED: no gpu has 0.6 left; the most is 0.5 on gpu 1" ]]'
	zn-queue why -o table 3 | grep -q "also: gpu 0: pid .*, outside the queue"
	exec 9<&-
	zn-queue wait 3
	touch go
	zn-queue wait 2
}

@test "the process of MPS that holds a GPU for its clients is in nobody's way" {
	mkdir driver && ln -s "$B/tests/nvidia-ml.so" driver/libnvidia-ml.so.1
	cp "$(command -v sleep)" nvidia-cuda-mps-server
	./nvidia-cuda-mps-server 100 3>&- &
	unset ZENITH_MOCK_GPUS
	export LD_LIBRARY_PATH=$dir/driver FAKE_NVML_PID=$!
	zn-topo -k gpu -o json >now
	run ! grep -q '"users"' now
	for i in 1 2; do until_there go --gpu-share 0.5; done
	for i in 1 2; do await RUNNING $i; done
	[ "$(gpus 1) $(gpus 2)" = "[0] [0]" ]
	touch go
	zn-queue wait 1 2
	quick -w -g 1 -- true
	zn-schedd --stop
	kill "$FAKE_NVML_PID"
}

@test "after the death of zn-schedd parts are what they were: no more is given out than there is, and no less" {
	export ZENITH_MOCK_GPUS=1:h100
	until_there one --gpu-share 0.5
	until_there two --gpu-mem 30G # 377 thousandths
	await RUNNING 1
	await RUNNING 2
	[ "$(field gpu_milli 2)" = 377 ]
	for i in 1 2; do
		kill -KILL "$(pid_of zn-schedd)"
		quick -w -- true
		is_state RUNNING 1
		[ "$(field gpu_milli 1) $(field gpu_milli 2)" = "500 377" ]
	done
	quick --gpu-share 0.124 -- true # 5
	[ "$(why 5)" = "job 5 is QUEUED: no gpu has 0.124 left; the most is 0.123 on gpu 0" ]
	quick -w --gpu-share 0.123 -- true
	quick --gpu-share 0.1 --gpu-mem 50G -- true # 7
	[ "$(why 7)" = "job 7 is QUEUED: no gpu with 0.1 left has 50.0G of memory left; the most is 49.6G on gpu 0" ]
	kill -KILL "$(pid_of zn-schedd)"
	quick -g 1 -- true # 8
	touch two
	zn-queue wait 2 5 7
	[ "$(state 8)" = QUEUED ]
	touch one
	zn-queue wait 1 8
	[ "$(field gpu_milli 2)" = 377 ]
}

@test "after the death of zn-noded its parts are lost and free; what may run again does, as large as it was" {
	export ZENITH_MOCK_GPUS=1
	until_there go --gpu-share 0.5
	until_there go --gpu-share 0.5 --requeue 1
	await RUNNING 1
	await RUNNING 2
	quick -g 1 -- true
	kill -KILL "$(pid_of zn-noded)"
	await FAILED 1
	[[ $(field reason 1) == lost* ]]
	touch go
	zn-queue wait 2 3
	[ "$(state 2) $(field attempt 2) $(field gpu_milli 2)" = "COMPLETED 2 500" ]
	until_true lease_is_free
}

@test "suspended parts are kept, requeued ones given back; an array has as many as fit" {
	export ZENITH_MOCK_GPUS=1
	until_there go --gpu-share 0.6
	await RUNNING 1
	zn-queue suspend 1
	await SUSPENDED 1
	quick --gpu-share 0.5 -- true
	quick -w -- true
	[ "$(state 2)" = QUEUED ]
	zn-queue requeue 1
	again() { [ "$(field attempt 1)" = 2 ] && is_state RUNNING 1; }
	until_true again
	until_there go --gpu-share 0.2 --array 1-4
	await RUNNING 4.1
	await RUNNING 4.2
	[ "$(field gpu_milli 4.2) $(field gpu_share 4)" = "200 0.2" ]
	[ "$(why 4)" = "job 4 is QUEUED: no gpu has 0.2 left; all of them are taken" ]
	touch go
	zn-queue wait 1 2 4
	zn-queue requeue 4.1 >number # one that has ended
	[ "$(field gpu_share "$(cat number)")" = 0.2 ]
	zn-queue wait "$(cat number)"
}

@test "parts make room for who may have it: one alone if that will do, and all of a GPU's for a whole one" {
	export ZENITH_MOCK_GPUS=1
	until_there go --gpu-share 0.2 --preemptible
	until_there go --gpu-share 0.3 --preemptible
	until_there go --gpu-share 0.5 --preemptible
	for i in 1 2 3; do await RUNNING $i; done
	until_there first --gpu-share 0.45 -p 1
	await RUNNING 4
	[ "$(state 1) $(state 2) $(state 3)" = "RUNNING RUNNING QUEUED" ]
	touch go
	zn-queue wait 1 2
	touch first
	zn-queue wait 3 4
	rm go
	until_there go --gpu-share 0.2 --preemptible
	until_there go --gpu-share 0.3 --preemptible
	await RUNNING 5
	await RUNNING 6
	until_there second -g 1 -p 1
	await RUNNING 7
	[ "$(state 5) $(state 6)" = "QUEUED QUEUED" ]
	touch go second
	zn-queue wait 5 6 7
}

@test "against quotas parts are counted in thousandths" {
	cat >conf <<<$'[quota user:*]\ngpus = 1\n'
	export ZENITH_CONFIG=$dir/conf
	until_there go --gpu-share 0.6
	await RUNNING 1
	quick --gpu-share 0.5 -- true
	[ "$(why 2)" = "job 2 is QUEUED: needs 0.5 gpus; user $(id -un) has 0.6 of the 1 that the quota allows" ]
	zn-queue cancel 2
	until_there go --gpu-share 0.4
	await RUNNING 3
	[ "$(zn-queue quotas -o csv --no-heading --fields running_now,gpus_now,gpu_milli_now)" = 2,1,1000 ]
	kill -KILL "$(pid_of zn-schedd)"
	quick --gpu-share 0.001 -- true
	[ "$(why 4)" = "job 4 is QUEUED: needs 0.001 gpus; user $(id -un) has 1 of the 1 that the quota allows" ]
	no 65 "it asks 2 gpus, and user $(id -un) may have 1 (quota)" -g 2
	touch go
	zn-queue wait 1 3 4
}

@test "parts that make no sense are refused with one sentence" {
	part="gpu_share must be 0.001 to 0.999, in thousandths, not"
	for bad in 0 1 1.5 -1 0.0001 0.2505; do no 65 "$part $bad" --gpu-share $bad; done
	no 64 "option '--gpu-share': 'nan' is not a number" --gpu-share nan
	no 64 "option '--gpu-share': 'half' is not a number" --gpu-share half
	no 65 "gpu_share is a part of one gpu: it makes no sense with 2 gpus" --gpu-share 0.5 -g 2
	no 65 "gpu_share is a part of one gpu: it makes no sense with 0 gpus" --gpu-share 0.5 -g 0
	no 65 "gpu_mem_bytes is a part of one gpu: it makes no sense with 2 gpus" --gpu-mem 10G -g 2
	for wish in require prefer; do
		no 65 "gpu_share is a part of one gpu: it makes no sense with nvlink" --gpu-share 0.5 --nvlink $wish
	done
	no 65 "gpu_mem_bytes must be 1048576 to 72057594037927936, not 0" --gpu-mem 0
	records() { zn-submit --records <<<'{"command":"/bin/true","directory":"/","output":"/dev/null","resources":{'"$1"'}}'; }
	for bad in 0 1 -0.5 0.0001 1e300; do run -65 records '"gpu_share":'$bad; done
	run -65 records '"gpu_share":NaN'
	run -65 records '"gpu_share":"0.5"'
	run -65 records '"gpu_share":0.5,"gpus":2'
	run -65 records '"gpu_mem_bytes":-1'
	run -65 records '"gpu_mem_bytes":0'
	run -0 records '"gpu_share":0.5,"gpus":1'
	zn-queue wait "$output"
	printf '#!/bin/sh\n#SBATCH --gres=shard:1\n' >script
	run -65 zn-submit script
}

@test "a job that is submitted from one with a part inherits nothing of what holds that" {
	zn-submit --wait --gpu-share 0.5 --gpu-mem 1G --output /dev/null -- sh -c \
		'zn-submit --wait -g 1 --output inner -- sh -c "echo \${CUDA_MPS_ACTIVE_THREAD_PERCENTAGE-none} \${CUDA_MPS_PINNED_DEVICE_MEM_LIMIT-none}"'
	[ "$(cat inner)" = "none none" ]
}
