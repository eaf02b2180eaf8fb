import lightning
import torch


class Classifier(lightning.LightningModule):
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = torch.nn.functional.cross_entropy(self.model(x), y)
        log = {"train_loss": loss.detach()}
        return {"loss": loss, "log": log}
