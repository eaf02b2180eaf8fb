import torch
import torch.nn.functional as F


class SentencePooling(torch.nn.Module):
    def forward(self, hidden, attention_mask):
        weights = attention_mask.unsqueeze(-1).float()
        return (hidden * weights).sum(1) / weights.sum(1)
