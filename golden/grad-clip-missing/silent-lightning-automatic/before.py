import lightning as L
import torch


class Model(L.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def training_step(self, batch, batch_idx):
        x, y = batch
        return torch.nn.functional.mse_loss(self.net(x), y)

    def backward(self, loss):
        loss.backward()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def main(net, loader):
    L.Trainer(max_epochs=3).fit(Model(net), loader)
