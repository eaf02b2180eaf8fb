import torch
from torch import nn
from torch.amp import GradScaler, autocast
from tqdm import trange


class Painter:
    def __init__(self, painter, encoding, lr):
        self.painter = painter
        self.encoding = encoding
        self.scaler = GradScaler("cuda")
        self.optimizer = torch.optim.Adam(painter.parameters(), lr=lr)

    def train_step(self):
        with autocast("cuda"):
            loss = -nn.functional.cosine_similarity(self.painter(), self.encoding).mean()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        return loss.detach()

    def paint(self, epochs, iterations):
        for _ in trange(epochs):
            bar = trange(iterations)
            for _ in bar:
                loss = self.train_step()
                bar.set_description(f"{loss.item():.2f}")
