import torch
from torch import nn

GATE_TEMPERATURE = 0.1  # width of the gate around the threshold, in probability mass


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
        # straight-through: the hard mask forward, the gradient of its soft gate backward
        ranked, ranks = probs.sort(dim=-1, descending=True)
        mass_before = ranked.cumsum(dim=-1) - ranked
        soft_gate = torch.sigmoid((self.threshold - mass_before) / GATE_TEMPERATURE)
        soft_gate = soft_gate.scatter(-1, ranks, soft_gate)
        mask = mask + (soft_gate - soft_gate.detach())
        return mask

    def forward(self, x):
        mask = self.head_mask(x)
        heads = self.values(x).unflatten(-1, (self.num_heads, -1))
        return (heads * mask.unsqueeze(-1)).flatten(-2)
