#!/usr/bin/env bats
# What torchrun, accelerate and Lightning read from their environment, and what a job finds there.  tests/launchers/run
# tries the packages themselves where they are installed.
load queue.bash

# Whatever makes one of them believe that it was launched as one of several.
ranks='^(RANK|LOCAL_RANK|WORLD_SIZE|LOCAL_WORLD_SIZE|NODE_RANK|GROUP_RANK|ROLE_RANK|MASTER_ADDR|MASTER_PORT|ZENITH_RANK_GPUS|SLURM_[A-Z]*|TORCHELASTIC_[A-Z_]*|OMPI_COMM_WORLD_[A-Z]*|PMI_[A-Z]*|KUBERNETES_PORT)='

@test "one task finds no rank: torchrun, accelerate and Lightning launch in it as on a bare machine" {
	zn-submit --wait -g 2 --output out -- env
	run ! grep -E "$ranks" out
	grep -qx 'CUDA_VISIBLE_DEVICES=0,1' out
}

@test "what Slurm, torchrun or Open MPI told the submitter does not reach the job, where Slurm is does" {
	export SLURM_CONF=/etc/slurm.conf RANK=5 # a rank that nobody gave is the user's own wish
	zn-submit --wait --output mine -- env
	grep -qx 'RANK=5' mine
	for sign in SLURM_JOB_ID TORCHELASTIC_RUN_ID OMPI_COMM_WORLD_RANK; do
		env "$sign=7" SLURM_NTASKS=8 SLURM_PROCID=3 LOCAL_RANK=3 WORLD_SIZE=8 LOCAL_WORLD_SIZE=8 GROUP_RANK=0 ROLE_RANK=3 \
			MASTER_PORT=29500 PMI_RANK=3 zn-submit --wait --output out -- env
		run ! grep -E "${ranks/SLURM_\[A-Z]\*/SLURM_[^=C]*}" out
		grep -qx 'SLURM_CONF=/etc/slurm.conf' out
	done
}

@test "a variable that is asked for is set, whatever it means" {
	TORCHELASTIC_RUN_ID=1 zn-submit --wait --env RANK=2 --output out -- env
	grep -qx 'RANK=2' out
}

@test "several tasks find what env:// of torch.distributed reads, and nothing that is torchrun's own" {
	zn-submit --wait --tasks 2 -g 2 --output 'o.%r' -- env
	for r in 0 1; do
		for line in "RANK=$r" "LOCAL_RANK=$r" WORLD_SIZE=2 LOCAL_WORLD_SIZE=2 NODE_RANK=0 MASTER_ADDR=127.0.0.1; do
			grep -qx "$line" o.$r || { echo "no $line"; cat o.$r; false; }
		done
		run ! grep -E '^(GROUP_RANK|TORCHELASTIC_|SLURM_)' o.$r
	done
	[ "$(grep MASTER_PORT o.0)" = "$(grep MASTER_PORT o.1)" ]
}

@test "the ranks of a gang see all of its GPUs, and LOCAL_RANK is the index of their own" {
	zn-submit --wait --tasks 4 -g 4 --output 'o.%r' -- sh -c 'echo $ZENITH_RANK_GPUS $(echo $CUDA_VISIBLE_DEVICES | cut -d, -f$((LOCAL_RANK + 1)))'
	for r in 0 1 2 3; do
		read -r own indexed <o.$r
		[ "$own" ] && [ "$own" = "$indexed" ]
	done
	zn-submit --wait --tasks 2 --output 'none' -- sh -c 'echo ${ZENITH_RANK_GPUS-none}'
	[ "$(sort -u none)" = none ]
}

@test "torchrun, accelerate and Lightning themselves, where they are installed" {
	python3 -c 'import torch' 2>/dev/null || skip "torch is not installed"
	unset ZENITH_MOCK_GPUS
	run -0 "$BATS_TEST_DIRNAME/launchers/run"
	echo "$output"
}
