import torch
from torch import nn


class WordGRU(nn.Module):
    def __init__(self, words, dim):
        super().__init__()
        self.embed = nn.Embedding(words, dim, sparse=True)
        self.gru = nn.GRU(dim, dim, batch_first=True)

    def forward(self, words):
        return self.gru(self.embed(words))[0][:, -1]


def train(model, head, loader, loss_fn):
    optimizer = torch.optim.SparseAdam(list(model.parameters()), lr=1e-3)
    for words, label in loader:
        optimizer.zero_grad()
        loss_fn(head(model(words)), label).backward()
        optimizer.step()


def main(loader, head, loss_fn):
    train(WordGRU(10_000, 64), head, loader, loss_fn)
