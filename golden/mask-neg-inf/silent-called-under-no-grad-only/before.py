import torch
from torch import nn


class Indexer(nn.Module):
    def _pooled(self, keys, gates, valid):
        logits = gates.masked_fill(~valid, float("-inf"))
        return (torch.softmax(logits, dim=-1).unsqueeze(-1) * keys).sum(dim=-2)

    @torch.no_grad()
    def choose(self, keys, gates, valid):
        pooled = self._pooled(keys, gates, valid)
        return pooled.norm(dim=-1).topk(4).indices
