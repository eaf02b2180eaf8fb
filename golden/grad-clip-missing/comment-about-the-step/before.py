import torch
from torch import nn


class Tagger(nn.Module):
    def __init__(self, vocab_size, tags, width=128):
        super().__init__()
        self.embed = nn.Embedding(vocab_size, width)
        self.lstm = nn.LSTM(width, width, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * width, tags)

    def forward(self, tokens):
        return self.out(self.lstm(self.embed(tokens))[0])


def train(loader, vocab_size, tags, debug=False):
    model = Tagger(vocab_size, tags)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for tokens, labels in loader:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(tokens).flatten(0, 1), labels.flatten())
        # compute the gradients
        loss.backward()
        # print(model.lstm.weight_hh_l0.grad.norm())
        # update the weights
        optimizer.step()
    return model
