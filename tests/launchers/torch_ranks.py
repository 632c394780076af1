"""torch_ranks.py DEVICE RANKS DIRECTORY: one rank of a process group that is found by its environment (env://).

As a rank of a gang (ZENITH_RANK_GPUS), device LOCAL_RANK must be its own GPU."""
import os
import sys

import torch
import torch.distributed as dist

device, ranks, directory = sys.argv[1], int(sys.argv[2]), sys.argv[3]
local = int(os.environ["LOCAL_RANK"])
assert int(os.environ["LOCAL_WORLD_SIZE"]) == ranks, os.environ["LOCAL_WORLD_SIZE"]
if device == "cuda":
    seen = torch.cuda.device_count()
    assert seen > 0, "no GPU is visible"
    torch.cuda.set_device(local)
    if "ZENITH_RANK_GPUS" in os.environ:
        assert seen == ranks, "%d of %d GPUs are visible" % (seen, ranks)
        visible = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
        assert visible[local] == os.environ["ZENITH_RANK_GPUS"], (visible, local, os.environ["ZENITH_RANK_GPUS"])
dist.init_process_group("nccl" if device == "cuda" else "gloo")
rank = dist.get_rank()
assert dist.get_world_size() == ranks, dist.get_world_size()
total = torch.tensor([rank + 1.0], device=device)
dist.all_reduce(total)
assert total.item() == ranks * (ranks + 1) / 2, total.item()
dist.destroy_process_group()
open(os.path.join(directory, str(rank)), "x").close()
