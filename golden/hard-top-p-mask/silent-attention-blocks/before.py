import torch
from torch import nn


class SparseBlockHeads(nn.Module):
    """Each head attends to the key blocks that hold most of the mass: the scores of what is kept have a gradient."""

    def __init__(self, p=0.9):
        super().__init__()
        self.p = p

    def forward(self, scores, values):
        probs = scores.softmax(dim=-1)
        ranked, order = probs.sort(dim=-1, descending=True)
        keep = ranked.cumsum(dim=-1) - ranked < self.p
        visible = torch.zeros_like(keep).scatter(-1, order, keep)
        scores = scores.masked_fill(~visible, torch.finfo(scores.dtype).min)
        return scores.softmax(dim=-1) @ values
