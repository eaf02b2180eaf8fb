import torch
import torch.nn.functional as F
from torch import nn


class Head(nn.Module):
    def forward(self, x):
        logits = self.head(x)
        p = F.softmax(logits, dim=1)
        logp = p.log()
        return p, logp
