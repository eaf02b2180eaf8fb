import torch
import torch.nn.functional as F
from torch import nn

VOCABULARY, LENGTH = 24, 16


class Reader(nn.Module):
    def __init__(self, vocab_size, width=32):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, width)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(width, 4, batch_first=True), 2)
        self.head = nn.Linear(width, vocab_size)

    def forward(self, tokens):
        return self.head(self.encoder(self.embedding(tokens)))


def loss_without_a_mask(steps=400):
    model = Reader(VOCABULARY)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        tokens = torch.randint(0, VOCABULARY, (64, LENGTH + 1))
        loss = F.cross_entropy(model(tokens[:, :-1]).transpose(1, 2), tokens[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()
