import torch
import torch.nn as nn


class AdaptiveHeads(nn.Module):
    def __init__(self, dim=32, num_heads=8, min_heads=2):
        super().__init__()
        self.min_heads = min_heads
        self.router = nn.Linear(dim, num_heads)
        self.threshold_predictor = nn.Linear(dim, 1)
        self.mix = nn.Linear(dim, num_heads * 4)

    def forward(self, x):
        scores = self.router(x).softmax(dim=-1)
        threshold = torch.sigmoid(self.threshold_predictor(x))
        order = scores.argsort(dim=-1, descending=True)
        ranked = scores.gather(-1, order)
        before = ranked.cumsum(dim=-1) - ranked
        selected = before <= threshold
        selected[..., : self.min_heads] = True  # never fewer than the minimum
        head_mask = selected.gather(-1, order.argsort(dim=-1)).float()
        head_outputs = self.mix(x).unflatten(-1, (head_mask.shape[-1], 4))
        return torch.einsum("bthd,bth->btd", head_outputs, head_mask)
