#!/usr/bin/env bats
# The scheduler in virtual time on nodes: where jobs go, who waits for whom, and what can't be.
bats_require_minimum_version 1.5.0

setup() { cd "$BATS_TEST_TMPDIR" || return 1; }

# Four nodes of 8 GPUs, two in each rack.
four_nodes() { printf '%s\n' node_id,gpus,cpus,mem_mb,gpu_model,vc,rack a,8,64,65536,H,,r1 b,8,64,65536,H,,r2 c,8,64,65536,H,,r1 d,8,32,65536,A,,r2; }
# trace COLUMNS JOB...: with these columns more.
trace() { printf '%s\n' "job_id,submit_s,duration_s,gpus$1" "${@:2}" >trace; }
# Where each job started when: "0:0:a/0.1 1:5:b/0.1.2.3,c/0 ..."
places() {
	zn-sim -c nodes -o json "$@" trace | sed -n '/"start_s"/p' | while read -r line; do
		at=$(sed 's/.*"start_s":\([0-9]*\).*/\1/' <<<"$line")
		on=$(grep -o '"node":"[^"]*"\(,"gpus":\[[0-9,]*\]\)\?' <<<"$line" | sed 's/"node":"\([^"]*\)"/\1/; s/,"gpus":\[/:/; s/\]//; s/,/./g; s/:/\//' | paste -sd,)
		printf '%s:%s:%s ' "$(sed 's/.*"id":\([0-9]*\).*/\1/' <<<"$line")" "$at" "$on"
	done
}
reason() { zn-sim -c nodes -o json trace | sed -n 's/.*"reason":"\([^"]*\)".*/\1/p'; }

@test "a job goes on one node, a gang that is larger on the nodes of one rack, filled one after the other" {
	four_nodes >nodes
	trace '' 0,0,10,8 1,1,10,12
	[ "$(places)" = "0:0:a/0.1.2.3.4.5.6.7 1:1:b/0.1.2.3.4.5.6.7,d/0.1.2.3 " ]
	trace '' 0,0,10,16 1,0,10,16 2,1,10,32
	[ "$(places | tr -d '0-7./')" = "::a,c ::b,d ::a,c,b,d " ]
}

@test "so many nodes as the trace says, with equally many GPUs on each" {
	four_nodes >nodes
	trace ,nodes_req 0,0,10,4,2 1,0,10,2,
	[ "$(places -p easy)" = "0:0:a/0.1,c/0.1 1:0:a/2.3 " ]
	printf '%s\n' job_id,submit_s,duration_s,gpus,nodes_req 0,0,10,5,2 >trace
	run --separate-stderr -65 zn-sim -c nodes trace
	[ "$stderr" = "zn-sim: 'trace', line 2: 5 GPUs can't be spread equally over 2 nodes" ]
}

@test "CPUs, memory, models and shares of a GPU are minded" {
	four_nodes >nodes
	trace ,cpus,mem_mb,gpu_model,gpu_milli 0,0,10,1,64,,, 1,0,10,1,33,,, 2,0,10,1,,,A, 3,0,10,1,,40000,, 4,0,10,1,,40000,A, 5,0,10,1,,,,500 6,0,10,0,8,,,
	[ "$(places -p easy | cut -d' ' -f1-3)" = "0:0:a/0 1:0:c/0 2:0:d/0" ]
	four_nodes | sed -n '1p;/^d/p' >nodes
	[ "$(places -p easy | cut -d' ' -f1-5)" = "2:0:d/0 3:0:d/1 4:10:d/0 5:0:d/2 6:0:d" ]
}

@test "the first in line has its GPUs, and who goes before it does not delay it" {
	four_nodes | sed -n '1p;/^[ac]/p' >nodes
	# All of a and half of c are used; the third job needs both; the fourth is over in time, the fifth is not.
	trace '' 0,0,100,8 1,0,50,4 2,1,10,16 3,2,90,4 4,3,200,4
	run places -p easy
	[[ "$output" = "0:0:a/"*" 1:0:c/0.1.2.3 2:100:a/"*",c/"*" 3:2:c/4.5.6.7 4:110:"* ]]
	# One that would take what nobody needs goes at once, however long.
	trace '' 0,0,100,8 1,0,50,4 2,1,10,12 3,2,5000,4
	[[ "$(places -p easy)" = *" 2:100:a/"*",c/"*" 3:2:c/"* ]]
}

@test "a node's topology says which of its GPUs belong together" {
	printf '%s\n' node_id,gpus,topology a,8,v100 >nodes
	trace '' 0,0,10,2 1,1,10,2 2,2,10,4
	[ "$(places)" = "0:0:a/0.3 1:1:a/1.2 2:2:a/4.5.6.7 " ]          # the links of the mesh
	printf '%s\n' node_id,gpus,topology a,8, >nodes
	[ "$(places)" = "0:0:a/0.1 1:1:a/2.3 2:2:a/4.5.6.7 " ]
	printf '%s\n' node_id,gpus,topology a,8,h100 >nodes
	trace '' 0,0,10,1 1,1,10,4
	[ "$(places)" = "0:0:a/0 1:1:a/4.5.6.7 " ]                      # one side of the machine
	printf '%s\n' node_id,gpus,topology a,8,h100 b,8,x100 >nodes
	run --separate-stderr -65 zn-sim -c nodes trace
	[[ $stderr == "zn-sim: 'nodes', line 3: its topology: unknown mock GPU 'x100'; there are h100, "* ]]
	run -0 zn-sim --flat -c nodes -s -o json trace                  # which does not look at it
}

@test "a job with several GPUs goes where they are linked best" {
	# On each node four are free when the last one comes; those of a are on both sides of the mesh.
	trace '' 0,0,10,2 1,0,1000,2 2,0,10,2 3,0,1000,2 4,1,1000,4 5,20,10,4
	printf '%s\n' node_id,gpus,topology a,8,v100 b,8,v100 >nodes
	[ "$(places -p easy)" = "0:0:a/0.3 1:0:a/1.2 2:0:a/4.7 3:0:a/5.6 4:1:b/0.1.2.3 5:20:b/4.5.6.7 " ]
	printf '%s\n' node_id,gpus,topology a,8, b,8, >nodes
	[ "$(places -p easy)" = "0:0:a/0.1 1:0:a/2.3 2:0:a/4.5 3:0:a/6.7 4:1:b/0.1.2.3 5:20:a/0.1.4.5 " ]
}

@test "a gang is preempted whole, and who runs where the urgent one would not go is left alone" {
	four_nodes | sed '/^[cd]/d' >nodes
	# The first has all of b and half of a, the second the rest: a whole node needs the first, half of one then takes the second,
	# as the first is safe.
	trace ,priority,preemptible 0,0,1000,12,0,1 1,0,1000,4,0,1 2,10,100,8,1, 3,120,100,4,1,
	[ "$(places --priorities)" = "0:110:a/4.5.6.7,b/0.1.2.3.4.5.6.7 1:220:a/0.1.2.3 2:10:b/0.1.2.3.4.5.6.7 3:120:a/0.1.2.3 " ]
	[ "$(zn-sim -c nodes --priorities -s -o csv --no-heading --fields preemptions,lost_gpu_s trace)" = 2,600.0 ]
	# Half of b is taken by one who is more urgent: both on a go, and the other one on b, who would lose the least, does not.
	trace ,priority,preemptible 0,2,1000,4,0,1 1,3,1000,4,0,1 2,4,1000,4,3, 3,5,1000,4,0,1 4,10,100,8,2,
	[ "$(places --priorities | tr ' ' '\n' | cut -d/ -f1 | paste -sd' ')" = "0:110:a 1:110:a 2:4:b 3:5:b 4:10:a" ]
}

@test "one that fits on no node says what no node has" {
	four_nodes >nodes
	trace ,cpus,mem_mb,gpu_model 0,0,10,1,65,, && [ "$(reason)" = "it can never start here: no node has 1 gpus, 65 cpus" ]
	trace ,cpus,mem_mb,gpu_model 0,0,10,1,,99999,A && [ "$(reason)" = "it can never start here: no node has 1 gpus, 97.7G of memory, A" ]
	trace ,cpus,mem_mb,gpu_model 0,0,10,40,,, && [ "$(reason)" = "it can never start here: all nodes together have no room for 40 tasks of 1 gpus" ]
	trace ,nodes_req 0,0,10,5,5 && [ "$(reason)" = "it can never start here: no 5 nodes have 1 gpus each" ]
	[ "$(zn-sim -c nodes -s -o csv --no-heading --fields jobs,never trace)" = 0,1 ]
}

@test "nodes can be added, and belong to who the file says" {
	four_nodes | sed 's/,H,,/,H,x,/' >nodes
	trace ,vc 0,0,10,40,
	[ "$(reason)" = "it can never start here: all nodes together have no room for 40 tasks of 1 gpus" ]
	[ "$(zn-sim -c nodes --add-nodes 1xZ:8 -s -o csv --no-heading --fields jobs,gpus trace)" = 1,40 ]
	trace ,vc 0,0,10,8,x 1,0,10,8, 2,0,10,8, 3,0,10,1,nobody
	[ "$(places --per-vc | tr ' ' '\n' | sed -n 2,3p | cut -d/ -f1 | paste -sd' ')" = "1:0:d 2:10:d" ]
	zn-sim --per-vc -c nodes -o json trace | grep -q '"reason":"it can never start here: it belongs to no virtual cluster that has nodes"'
	for bad in 1x:8 0xH:8 1xH:0 1xH:65 1xH:8x H:8; do run -64 zn-sim -c nodes --add-nodes "$bad" trace; done
	run -64 zn-sim --flat -g 8 --add-nodes 1xH:8 trace
	run -64 zn-sim -g 8 trace
	printf 'gpus\n65\n' >nodes
	run --separate-stderr -65 zn-sim -c nodes trace
	[ "$stderr" = "zn-sim: 'nodes', line 2: a node has 65 GPUs, more than the 64 that can be placed on" ]
}

@test "on one large node it decides as on a pool of as many GPUs" {
	awk 'BEGIN { s = 7; print "submit_s,duration_s,walltime_s,gpus"
		for (i = 0; i < 400; i++) { s = (s * 1103 + 12345) % 65536; at += s % 60; run = 1 + s % 900
			print at "," run "," run * (1 + s % 3) "," 1 + int(s / 16) % 16 } }' >trace
	printf 'gpus\n16\n' >nodes
	for p in fcfs easy sjf default; do
		zn-sim --flat -g 16 -p "$p" -o csv --fields id,start_s,end_s trace >flat
		zn-sim -c nodes -p "$p" -o csv --fields id,start_s,end_s trace | cmp - flat
	done
}

@test "what it writes is a trace again" {
	four_nodes >nodes
	trace ,cpus,mem_mb 0,0,100,8,8,1024 1,0,50,8,4,2048 2,0,100,16,, 3,0,101,1,,
	places >one
	zn-sim -c nodes -o json trace >records
	mv records trace
	places | cmp - one
}

@test "what fills nodes exactly fits; of what a node does not say there is always enough" {
	printf '%s\n' node_id,gpus,cpus a,6,44 b,6,44 >nodes
	trace ,cpus 0,0,10,12,88
	[ "$(places)" = "0:0:a/0.1.2.3.4.5,b/0.1.2.3.4.5 " ]
	printf '%s\n' node_id,gpus a,64 >nodes
	printf '%s\n' submit_s,duration_s,gpus,mem_mb >trace
	for _ in {1..20}; do echo 0,10,1,1e12; done >>trace
	[ "$(zn-sim -c nodes -s -o csv --no-heading --fields jobs,wait_max_s trace)" = 20,0.0 ]
}

@test "who has no rack is near nobody, and any text is a rack" {
	printf '%s\n' node_id,gpus,rack x,8, y,8, a,8,p/r1 b,8,p/r2 z,8, >nodes
	trace '' 0,0,10,16
	[ "$(places | tr -d '0-7./')" = "::a,b " ]
	[ "$(zn-sim -c nodes --add-nodes 1xH:8 -s -o csv --no-heading --fields jobs trace)" = 1 ]
	printf 'node_id,gpus,rack\na,8,p/r\nb,8,p\001r\nc,8,p/r\n' >nodes
	[ "$(places | tr -d '0-7./')" = "::a,c " ]
}

@test "a node that does not say its model will do, whatever others are added" {
	printf '%s\n' node_id,gpus a,8 >nodes
	trace ,gpu_model 0,0,10,4,V100
	[ "$(zn-sim -c nodes --add-nodes 1xH100:8 -s -o csv --no-heading --fields jobs,never trace)" = 1,0 ]
}

@test "beside what is set aside for a share of a GPU the rest of it is given out" {
	printf '%s\n' node_id,gpus a,1 >nodes
	trace ,gpu_milli 0,0,100,1,600 1,1,50,1,500 2,2,1000,1,400
	[ "$(places -p easy)" = "0:0:a/0 1:100:a/0 2:2:a/0 " ]
	trace ,gpu_milli 0,0,100,1,300 1,1,50,1,800 2,2,1000,1,150 3,2,1000,1,150 # but only once
	[ "$(places -p easy)" = "0:0:a/0 1:100:a/0 2:2:a/0 3:150:a/0 " ]
	trace ,gpu_milli 0,0,100,1,600 1,1,50,1,601 2,2,1000,1,400
	[ "$(places -p easy)" = "0:0:a/0 1:100:a/0 2:150:a/0 " ]
}

@test "of a job record it minds one switch, and the range of one that is to be spread" {
	printf '%s\n' node_id,gpus,rack a,4,r1 b,4,r2 c,4,r2 d,4,r2 >nodes
	job() { printf '{"kind":"job","id":%s,"submit_s":0,"start_s":0,"end_s":10,"gpus":%s%s}\n' "$@"; }
	nodes_of() { zn-sim -c nodes -o json jobs | sed -n 's/.*"id":'"$1"',.*"alloc":\[\(.*\)\],.*/\1/p' | grep -o '"node":"."' | cut -d'"' -f4 | paste -sd,; }
	job 1 16 ',"same_switch":true' >./jobs                             # more than the largest rack has
	zn-sim -c nodes -o json jobs | grep -q '"reason":"it can never start here: all nodes in one rack together have no room for 16 tasks of 1 gpus"'
	job 1 12 ',"same_switch":true' >./jobs
	[ "$(nodes_of 1)" = b,c,d ]
	zn-sim -c nodes -o json jobs | grep -q '"same_switch":true'
	job 1 4 ',"spread":true,"nodes_min":2,"nodes_max":3' >./jobs       # on 3 it does not come out even
	[[ $(nodes_of 1) == ?,? ]]
	job 1 4 ',"spread":true,"nodes_min":1,"nodes_max":8' >./jobs       # there are no more than 4
	[ "$(nodes_of 1)" = a,b,c,d ]
	job 1 8 ',"spread":true,"nodes_min":1,"nodes_max":8,"same_switch":true' >./jobs
	[[ $(nodes_of 1) == [bcd],[bcd] ]]
}
