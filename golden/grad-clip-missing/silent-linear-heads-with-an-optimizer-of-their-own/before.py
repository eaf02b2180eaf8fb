import itertools

import torch
from pytorch_lightning import LightningModule
from torch import nn


class Speech(LightningModule):
    def __init__(self, cfg, tokenizer):
        super().__init__()
        self.automatic_optimization = False
        self.tokenizer = tokenizer
        self.heads = nn.ModuleDict()
        for task in cfg.tasks:
            self.heads[task] = nn.Linear(cfg.width, cfg.head_width)
        self.content = nn.Linear(cfg.head_width, len(tokenizer.tokens))
        self.ctc_loss = nn.CTCLoss(zero_infinity=True)

    def configure_optimizers(self):
        heads = torch.optim.Adam(itertools.chain(self.heads.parameters(), self.content.parameters()), lr=1e-3)
        return [heads], []

    def training_step(self, batch, index):
        optim_heads = self.optimizers()
        features = batch["features"].detach()
        scores = self.content(self.heads["content"](features)).log_softmax(-1).transpose(0, 1)
        loss = self.ctc_loss(scores, batch["input_ids"], batch["lengths"], batch["token_lengths"])
        if torch.isfinite(loss):
            optim_heads.zero_grad()
            self.manual_backward(loss)
            optim_heads.step()
