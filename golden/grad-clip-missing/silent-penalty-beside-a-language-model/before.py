import torch
import torch.nn.functional as F

from project import Rotation


class Controller:
    """Steps a small module of its own beside the language model that another file trains."""

    def __init__(self, model, config):
        self.model = model
        self.rotation = Rotation(config.dimensions)
        self.rotation_optimizer = torch.optim.Adam(self.rotation.parameters(), lr=config.rotation_lr)

    def train(self, loader):
        for batch in loader:
            input_ids, attention_mask = batch["input_ids"], batch["attention_mask"]
            logits = self.model(input_ids, attention_mask=attention_mask)
            loss = F.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten())
            loss = loss + 0.001 * self.rotation.angles().square().mean()
            self.rotation_optimizer.zero_grad()
            loss.backward()
            self.rotation_optimizer.step()
