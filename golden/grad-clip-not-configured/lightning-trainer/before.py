import pytorch_lightning as pl
import torch


class Regressor(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.LSTM(8, 1)

    def training_step(self, batch, index):
        x, y = batch
        return torch.nn.functional.mse_loss(self.net(x)[0], y)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def main(loader):
    trainer = pl.Trainer(
        max_epochs=10,
        accelerator="auto",
        precision=16,
    )
    trainer.fit(Regressor(), loader)
