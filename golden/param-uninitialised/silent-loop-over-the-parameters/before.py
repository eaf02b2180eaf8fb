import torch
from torch import nn
from torch.nn import functional as F


class Cell(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.hidden_size = hidden_size
        self.weight_ih = nn.Parameter(torch.Tensor(4 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.Tensor(4 * hidden_size, hidden_size))
        stdv = hidden_size**-0.5
        for weight in self.parameters():
            weight.data.uniform_(-stdv, stdv)

    def forward(self, x, h):
        return F.linear(x, self.weight_ih) + F.linear(h, self.weight_hh)
