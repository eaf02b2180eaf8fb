import torch
from torch import nn


class SkipGram(nn.Module):
    def __init__(self, words, dim):
        super().__init__()
        self.inner = nn.Embedding(words, dim, sparse=True)
        self.outer = nn.Embedding(words, dim, sparse=True)

    def forward(self, center, context):
        return -nn.functional.logsigmoid((self.inner(center) * self.outer(context)).sum(-1)).mean()


def train(model, loader):
    optimizer = torch.optim.SparseAdam(list(model.parameters()), lr=1e-3)
    for center, context in loader:
        optimizer.zero_grad()
        model(center, context).backward()
        optimizer.step()
