from lightning.pytorch import LightningModule, Trainer
from torch import nn, optim


class Classifier(LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 26 * 26, 10))

    def training_step(self, batch, index):
        images, labels = batch
        return nn.functional.cross_entropy(self.net(images), labels)

    def configure_optimizers(self):
        return optim.Adam(self.parameters(), lr=1e-3)


def main(loader):
    trainer = Trainer(max_epochs=5)
    trainer.fit(Classifier(), loader)
