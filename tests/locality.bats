#!/usr/bin/env bats
# Where a job wishes to be: --spread, --pack, --near, --same-switch.
load queue

until_go() { zn-submit "$@" -- /bin/sh -c "until [ -e '$dir/go' ]; do sleep 0.05; done"; }
gpus_of() { zn-queue show -o json "$1" | sed -n 's/.*"gpus":\(\[[^]]*\]\).*/\1/p'; }
# planned OPTION...: "NODES GPUS" of a dry run.
planned() { zn-submit --dry-run -o json "$@" -- true | sed -n 's/^{"kind":"plan","now":[a-z]*,"node":"\([^"]*\)","gpus":\(\[[^]]*\]\).*/\1 \2/p'; }
numas() { zn-submit --dry-run -o json "$@" -- true | sed -n 's/.*"numas":"\([^"]*\)".*/\1/p'; }
names() { zn-queue show -o json "$1" | grep -o '"node":"[^"]*"' | cut -d'"' -f4 | paste -sd,; }

@test "one GPU is the nearest to the device that is free, whatever the device is called by" {
	nic=$(zn-topo -o json | grep '"nic":"mlx5_5"')
	[[ $nic == *'"netdev":"ib5"'* ]]
	pci=$(sed 's/.*"pci":"\([^"]*\)".*/\1/' <<<"$nic")
	for name in mlx5_5 ib5 "$pci" "${pci#0000:}"; do
		[ "$(planned -g 1 --near "$name")" = "$(hostname) [5]" ]
	done
	[ "$(planned -g 2 --near mlx5_6)" = "$(hostname) [4,6]" ]
	[ "$(planned -g 1 --near nvme1n1)" = "$(hostname) [4]" ]        # all of its NUMA node are as near
	[ "$(planned -g 1 --near nic)" = "$(hostname) [0]" ]
	until_go -g 1 --near mlx5_5
	until_go -g 1 --near mlx5_5                                     # that one is taken: another of its side
	await RUNNING 2
	[ "$(gpus_of 1) $(gpus_of 2)" = '[5] [4]' ]
	[ "$(field near 1)" = mlx5_5 ]
	zn-queue show -o table 1 | grep -qx 'locality       near mlx5_5'
	touch go
	zn-queue wait 1 2
}

@test "links come before the device, and the device before what is left over" {
	export ZENITH_MOCK_GPUS=8:v100
	[ "$(planned -g 2)" = "$(hostname) [0,3]" ]                     # the mesh has double links, and these leave the best
	[ "$(planned -g 2 --near mlx5_3)" = "$(hostname) [6,7]" ]       # below its switch, and linked as well
	[ "$(planned -g 2 --near mlx5_2)" = "$(hostname) [4,7]" ]       # 4 and 5 are below it, with a single link
	[ "$(planned -g 1 --near mlx5_3)" = "$(hostname) [6]" ]
}

@test "CPUs without GPUs are on the node of the device, or in equal parts on all" {
	export ZENITH_MOCK_GPUS=4:h100
	[ "$(nproc)" -ge 2 ] || skip "one CPU can't be on two nodes"
	[ "$(numas -c 1 --near mlx5_3)" = 1 ]
	[ "$(numas -c 1 --near nvme0n1)" = 0 ]
	[ "$(numas -c 2 --spread)" = 0-1 ]
	[ "$(numas -g 2 --spread)" = 0-1 ]
	[ "$(numas -g 2 --pack)" = 0 ]
}

@test "a job is told the NICs beside its GPUs, and each rank of a gang those beside its own" {
	[[ $(zn-submit --dry-run -o json -g 2 --near mlx5_6 -- true) == *'"gpus":[4,6],'*'"nics":"mlx5_4,mlx5_6",'* ]]
	zn-submit -w -g 2 --near mlx5_6 --output out -- sh -c 'echo $ZENITH_NICS' # 1
	[ "$(cat out)" = mlx5_4,mlx5_6 ]
	zn-queue show -o json 1 | grep -q '"nics":"mlx5_4,mlx5_6"'
	zn-queue show -o table 1 | grep -q '^placed .*, gpus 4,6, .*, nics mlx5_4,mlx5_6$'
	zn-submit -w --tasks 2 -g 4 --near mlx5_6 --output 'o.%r' -- sh -c 'echo $ZENITH_RANK_GPUS $ZENITH_NICS' # 2
	for r in 0 1; do
		read -r gpus nics <o.$r
		[ "$(sed 's/[0-9]/mlx5_&/g' <<<"$gpus")" = "$nics" ]
	done
	ZENITH_NICS=mlx5_9 zn-submit -w --output none -- sh -c 'echo ${ZENITH_NICS-none}' # nor what its submitter was told
	[ "$(cat none)" = none ]
}

@test "a gang of several nodes has the NICs of each" {
	nodes 'n1 mock=2' 'n2 mock=2'
	zn-submit -w -N 2 -g 4 --output 'o.%r' -- sh -c 'echo $ZENITH_NODE $ZENITH_NICS'
	[ "$(sort o.*)" = $'n1 mlx5_0,mlx5_1\nn2 mlx5_0,mlx5_1' ]
	[ "$(zn-queue show -o json 1 | grep -o '"nics":"mlx5_0,mlx5_1"' | wc -l)" -eq 2 ]
}

@test "where no node has the device it never starts, and is told so" {
	run -1 --separate-stderr zn-submit --dry-run -o json -g 1 --near mlx5_9 -- true
	[[ $output == *'"now":false'*"no node has a device 'mlx5_9'"*'"smallest":"without --near it would start now"'* ]]
	zn-submit -g 1 --near mlx5_9 -- true
	until_true eval 'zn-queue why -o json 1 | grep -q "it can never start here: no node has a device '"'mlx5_9'"'"'
	zn-queue why -o json 1 | grep -q '"text":"needs to be near '"'mlx5_9'; the machine has no such device"
	[ "$(zn-submit -w -g 1 --near mlx5_0 -- sh -c 'echo $CUDA_VISIBLE_DEVICES' && cat zn-2.out)" = "2
0" ]
}

@test "of several nodes only those with the device will do" {
	nodes 'n1 mock=2' 'n2 mock=8'
	[ "$(planned -g 2)" = 'n1 [0,1]' ]
	[ "$(planned -g 2 --near mlx5_6)" = 'n2 [4,6]' ]
	run -1 --separate-stderr zn-submit --dry-run -o json -N 2 -g 2 --near mlx5_6 -- true
	[[ $output == *'it needs 2 nodes; 1 has room for its part'* ]]
	until_go -g 8
	await RUNNING 1
	run -1 --separate-stderr zn-submit --dry-run -o json -g 2 --near mlx5_6 -- true
	[[ $output == *'n2: needs 2 gpus; none of 8 is free'*'"smallest":"without --near it would start now"'* ]]
	touch go
	zn-queue wait 1
}

@test "spread is as many nodes of the range as have room, pack as few, and neither is as pack" {
	nodes 'n1 mock=4' 'n2 mock=4' 'n3 mock=4'
	[ "$(planned -N 1-4 -g 4 --tasks 4)" = 'n1 [0,1,2,3]' ]
	[ "$(planned -N 1-4 -g 4 --tasks 4 --pack)" = 'n1 [0,1,2,3]' ]
	[[ $(planned -N 1-4 -g 12 --tasks 12 --spread) == 'n1,n2,n3 '* ]]
	[[ $(planned -N 1-4 -g 4 --tasks 4 --spread) == 'n1,n2 '* ]]   # four parts do not come out even on three
	[ "$(planned -g 2 --spread)" = 'n1 [0,2]' ]
	until_go -N 1-4 -g 4 --tasks 4 --spread
	await RUNNING 1
	[ "$(names 1)" = n1,n2 ]
	[ "$(field spread 1)" = true ]
	touch go
	zn-queue wait 1
}

@test "a gang at one switch waits for it, and is told what it could have without" {
	nodes 'n1 mock=1 domain=row1/leaf1' 'n2 mock=1 domain=row1/leaf2' 'n3 mock=1 domain=row1/leaf2' 'n4 mock=1 domain=row1'
	[[ $(planned -N 2 -g 2 --same-switch) == 'n2,n3 '* ]]
	until_go -g 1
	await RUNNING 1
	[ "$(names 1)" = n1 ]
	zn-queue node drain n3
	until_go -N 2 -g 2 --same-switch
	run -0 zn-queue why -o json 2
	[[ $output == *'"answer":"it needs 2 nodes at one switch; at none have more than 1 room for its part"'* ]]
	[[ $output == *'"smallest":"without --same-switch it would start now"'* ]]
	run -1 --separate-stderr zn-submit --dry-run -o json -N 3 -g 3 --same-switch -- true
	[[ $output == *'it needs 3 nodes at one switch; at none have more than 1 room for its part'* ]]
	[[ $output != *'"expected_s"'* ]]
	zn-queue node resume n3
	await RUNNING 2
	[ "$(names 2)" = n2,n3 ]
	zn-queue show -o table 2 | grep -qx 'locality       at one switch'
	touch go
	zn-queue wait 1 2
}

@test "where the list of nodes says no domain they are all at one switch" {
	nodes 'n1 mock=1' 'n2 mock=1'
	zn-submit -w -N 2 -g 2 --same-switch -- true
}

@test "a job that waits wishes the same after a restart and a crash" {
	until_go -g 8
	await RUNNING 1
	zn-submit -g 1 --near mlx5_7 --spread --same-switch -- sh -c 'echo $CUDA_VISIBLE_DEVICES'
	zn-submit -g 1 --near mlx5_3 --pack --array 0-1 -- sh -c 'echo $CUDA_VISIBLE_DEVICES'
	for how in --stop kill; do
		[ $how = kill ] && kill -9 "$(pid_of zn-schedd)" || zn-schedd --stop
		until_true start
		[ "$(field near 2) $(field spread 2) $(field same_switch 2)" = 'mlx5_7 true true' ]
		[ "$(field near 3) $(field pack 3)" = 'mlx5_3 true' ]
	done
	touch go
	zn-queue wait 1 2 3
	[ "$(cat zn-2.out)" = 7 ]
	[ "$(cat zn-3.0.out zn-3.1.out | sort -n | tail -n 1)" = 3 ]
	zn-queue history -o json | grep -q '"id":2,.*"spread":true,"same_switch":true,"near":"mlx5_7"'
}

@test "records, scripts and #SBATCH lines wish the same" {
	printf '{"command":"true","directory":"%s","resources":{"gpus":1},"locality":{"near":"mlx5_2","spread":true}}\n' "$dir" |
		zn-submit --records
	zn-queue wait 1
	[ "$(gpus_of 1)" = '[2]' ]
	printf '#!/bin/sh\n#ZN -g 1 --near mlx5_1\n' >script
	zn-submit -w script
	[ "$(gpus_of 2)" = '[1]' ]
	printf '#!/bin/sh\n#SBATCH -N 1 --spread-job --switches=1\n' >sbatch
	zn-submit -w sbatch
	[ "$(field spread 3) $(field same_switch 3)" = 'true true' ]
	zn-submit -w --pack sbatch                                      # the command line wins
	[ "$(field spread 4) $(field pack 4)" = ' true' ]
}

@test "what makes no sense is refused" {
	run -65 --separate-stderr zn-submit --pack --spread -- true
	[ "$stderr" = "zn-submit: pack and spread contradict each other" ]
	for near in '' / ../eth0 'eth0 eth1' "$(printf 'x%.0s' {1..64})"; do
		run -65 --separate-stderr zn-submit --near "$near" -- true
		[[ $stderr == "zn-submit: near '"*"' is no name of a device" ]]
	done
	run -64 --separate-stderr zn-submit --near
	run -65 --separate-stderr zn-submit --records <<<'{"command":"true","directory":"/tmp","locality":{"same_switch":"yes"}}'
	[[ $stderr == *same_switch* ]]
	[ -z "$(zn-queue list -o json)" ]
}

@test "a job that asks for labels goes where they are, waits there, and says which node lacks what" {
	printf '%s\n' 'n1 mock=2 label.tier=gold label.ib=' 'n2 mock=2 label.tier=spot' 'n3 mock=2' >list
	start --nodes "$dir/list"
	blocker -g 2 -C tier=gold >number                                # 1
	blocker -g 1 -C '!ib,tier' >number                               # 2
	blocker -g 1 -C 'node!=n1,node!=n2' >number                      # 3
	await RUNNING 1
	await RUNNING 2
	await RUNNING 3
	[ "$(names 1) $(names 2) $(names 3)" = "n1 n2 n3" ]
	zn-submit --output /dev/null -g 1 -C ib -- true                  # 4 waits for n1, though others are free
	run -0 zn-queue why -o json 4
	[[ $output == *"\"text\":\"2 nodes: its labels are not 'ib'\""* ]]
	[[ $output == *'"text":"n1: '* ]]
	zn-submit --output /dev/null -g 1 -C tier=silver -- true         # 5
	[[ $(zn-queue why -o json 5) != *expected_s* ]]
	zn-queue why -o json 5 | grep -q "3 nodes: its labels are not 'tier=silver'"
	zn-queue nodes -o json | grep -q '"node_id":"n1".*"labels":{"node":"n1","tier":"gold","ib":""}'
	zn-queue show -o json 4 | grep -q '"constraint":"ib"'
	kill -KILL "$(pid_of zn-schedd)"
	zn-queue list >listed
	[ "$(state 4)" = QUEUED ]
	printf '#!/bin/sh\n#SBATCH -C tier&ib\n#SBATCH -G 1\n:\n' >script
	zn-submit --output /dev/null script                              # 6
	zn-queue show -o json 6 | grep -q '"constraint":"tier,ib"'
	run -65 --separate-stderr zn-submit -C 'a b' -- true
	[ "$stderr" = "zn-submit: 'a b' selects no label: label, !label, label=value or label!=value, separated by commas" ]
	zn-queue cancel 5
	touch go
	zn-queue wait 1 2 3 4 6
	zn-queue history -o json | grep -c '"id":[46],.*"alloc":\[{"node":"n1",' >on_n1
	[ "$(cat on_n1)" = 2 ]
}

@test "labels in a list of nodes are checked; one machine has its name as a label" {
	bad() { printf '%s\n' "$2" >list; run --separate-stderr -65 start --nodes "$dir/list"; [ "$stderr" = "zn-schedd: '$dir/list' line 1: $1" ] || { echo "$status: $stderr"; false; }; }
	bad "label 'a' is there twice" 'n1 label.a=1 label.a=2'
	bad "'=x' is no label: up to 63 letters, digits, '-', '_' and '.'" 'n1 label.=x'
	bad "label 'node' is there already: it is the node's name" 'n1 label.node=x'
	zn-submit -w --output /dev/null -C "node=$(hostname)" -- true
	zn-submit --output /dev/null -C "node!=$(hostname)" -- true
	run -0 zn-queue why -o table 2
	[[ $output == *"its labels are not 'node!=$(hostname)'"* ]]
}
