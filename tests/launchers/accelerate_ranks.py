"""accelerate_ranks.py DEVICE RANKS DIRECTORY: one rank as accelerate finds it."""
import os
import sys

import torch
from accelerate import Accelerator

device, ranks, directory = sys.argv[1], int(sys.argv[2]), sys.argv[3]
accelerator = Accelerator(cpu=device == "cpu")
rank = accelerator.process_index
assert accelerator.num_processes == ranks, accelerator.num_processes
assert accelerator.device.type == device, accelerator.device
values = accelerator.gather(torch.tensor([rank + 1.0], device=accelerator.device))
assert values.sum().item() == ranks * (ranks + 1) / 2, values
accelerator.end_training()
open(os.path.join(directory, str(rank)), "x").close()
