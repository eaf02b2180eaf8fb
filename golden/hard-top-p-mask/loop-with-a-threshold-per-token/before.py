import torch
from torch import nn


class ComplexityAwareHeads(nn.Module):
    """The threshold grows with the difficulty that is predicted for a token."""

    def __init__(self, dim=32, num_heads=4):
        super().__init__()
        self.num_heads = num_heads
        self.router = nn.Linear(dim, num_heads)
        self.threshold_net = nn.Linear(dim, 1)
        self.values = nn.Linear(dim, dim)

    def forward(self, x):
        B, T, _ = x.shape
        probs = torch.softmax(self.router(x), dim=-1)
        threshold = torch.sigmoid(self.threshold_net(x)).squeeze(-1)
        mask = torch.zeros(B, T, self.num_heads, dtype=torch.bool, device=x.device)
        for b in range(B):
            for t in range(T):
                sorted_probs, sorted_idx = torch.sort(probs[b, t], descending=True)
                cumulative = 0.0
                for i in range(self.num_heads):
                    cumulative += sorted_probs[i].item()
                    mask[b, t, sorted_idx[i]] = True
                    if cumulative >= threshold[b, t].item():
                        break
        heads = self.values(x).view(B, T, self.num_heads, -1)
        return (heads * mask.unsqueeze(-1).to(heads.dtype)).flatten(2)
