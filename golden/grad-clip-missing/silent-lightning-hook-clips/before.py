import lightning as L
import torch


class Model(L.LightningModule):
    automatic_optimization = False

    def training_step(self, batch, batch_idx):
        opt = self.optimizers()
        opt.zero_grad()
        self.manual_backward(self(batch).mean())
        opt.step()

    def on_before_optimizer_step(self, optimizer):
        for p in self.parameters():
            p.grad.clamp_(-1, 1)
