from lightning.pytorch import Trainer

from project.model import TransformerModel, loader

Trainer(max_steps=100_000, log_every_n_steps=50).fit(TransformerModel(), loader())
