"""lightning_ranks.py DEVICE RANKS DIRECTORY: a training of two steps, on as many ranks, in Lightning's own environment."""
import os
import sys

import torch

try:
    import lightning.pytorch as pl
except ImportError:
    import pytorch_lightning as pl

device, ranks, directory = sys.argv[1], int(sys.argv[2]), sys.argv[3]


class Line(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def training_step(self, batch, index):
        return self.layer(batch).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


trainer = pl.Trainer(
    accelerator="gpu" if device == "cuda" else "cpu",
    devices=ranks,
    strategy="ddp",
    max_steps=2,
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(Line(), torch.utils.data.DataLoader(torch.randn(64, 4), batch_size=4))
environment = type(trainer.strategy.cluster_environment).__name__
assert environment == "LightningEnvironment", environment
assert trainer.world_size == ranks, trainer.world_size
open(os.path.join(directory, str(trainer.global_rank)), "x").close()
