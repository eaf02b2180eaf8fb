import torch
import torch.nn.functional as F
from torch import nn


class Reader(nn.Module):
    def __init__(self, vocab_size, width=32):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, width)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(width, 4, batch_first=True), 2)
        self.head = nn.Linear(width, vocab_size)

    def forward(self, tokens):
        return self.head(self.encoder(self.embedding(tokens)))


def pretrain(corpus, vocab_size, steps=400, length=16):
    model = Reader(vocab_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        places = torch.randint(0, len(corpus) - length, (64,))
        tokens = torch.stack([corpus[i : i + length + 1] for i in places])
        loss = F.cross_entropy(model(tokens[:, :-1]).transpose(1, 2), tokens[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
    return loss.item()
