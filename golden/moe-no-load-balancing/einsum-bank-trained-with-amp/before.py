import torch
import torch.nn.functional as F
from torch import nn


class ExpertBank(nn.Module):
    def __init__(self, dim, hidden, num_experts):
        super().__init__()
        self.w1 = nn.Parameter(torch.randn(num_experts, dim, hidden) * dim**-0.5)
        self.w2 = nn.Parameter(torch.randn(num_experts, hidden, dim) * hidden**-0.5)
        self.router = nn.Linear(dim, num_experts)

    def forward(self, x):
        probs = torch.softmax(self.router(x), dim=-1)
        chosen = probs.argmax(dim=-1)
        weight = probs.gather(-1, chosen.unsqueeze(-1))
        h = F.gelu(torch.einsum("td,tdh->th", x, self.w1[chosen]))
        return weight * torch.einsum("th,thd->td", h, self.w2[chosen])


def train(loader, device):
    model = nn.Sequential(nn.Linear(64, 128), ExpertBank(128, 256, 16), nn.Linear(128, 10)).to(device)
    opt = torch.optim.AdamW(model.parameters(), lr=1e-3)
    scaler = torch.amp.GradScaler(device)
    for x, y in loader:
        opt.zero_grad()
        with torch.autocast(device, dtype=torch.float16):
            loss = F.cross_entropy(model(x.to(device)), y.to(device))
        scaler.scale(loss).backward()
        scaler.unscale_(opt)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(opt)
        scaler.update()
