import pytorch_lightning as pl
import torch


class Gan(pl.LightningModule):
    def __init__(self, generator, critic):
        super().__init__()
        self.generator, self.critic = generator, critic
        self.automatic_optimization = False

    def training_step(self, batch, index):
        optimizer = self.optimizers()
        loss = self.critic(self.generator(batch)).mean()
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()

    def configure_optimizers(self):
        return torch.optim.RMSprop(self.parameters(), lr=5e-5)


def main(generator, critic, loader):
    trainer = pl.Trainer(max_epochs=10)
    trainer.fit(Gan(generator, critic), loader)
