import torch
from torch import nn


class AdaptiveMixtureOfHeads(nn.Module):
    def __init__(self, dim=32, num_heads=4, threshold=0.6):
        super().__init__()
        self.num_heads = num_heads
        self.threshold = threshold
        self.router = nn.Linear(dim, num_heads)
        self.values = nn.Linear(dim, dim)

    def head_mask(self, x):
        probs = torch.softmax(self.router(x), dim=-1)
        batch, length, _ = probs.shape
        mask = torch.zeros_like(probs)
        for b in range(batch):
            for t in range(length):
                order = torch.argsort(probs[b, t], descending=True)
                cumulative = 0.0
                for h in order.tolist():
                    mask[b, t, h] = 1.0
                    cumulative += probs[b, t, h].item()
                    if cumulative >= self.threshold:
                        break
        return mask

    def forward(self, x):
        mask = self.head_mask(x)
        heads = self.values(x).unflatten(-1, (self.num_heads, -1))
        return (heads * mask.unsqueeze(-1)).flatten(-2)
