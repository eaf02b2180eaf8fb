import torch
import torch.nn.functional as F
from torch import nn


class ExpertBank(nn.Module):
    def __init__(self, dim, hidden, num_experts):
        super().__init__()
        self.w1 = nn.Parameter(torch.randn(num_experts, dim, hidden) * dim**-0.5)
        self.w2 = nn.Parameter(torch.randn(num_experts, hidden, dim) * hidden**-0.5)
        self.router = nn.Linear(dim, num_experts)
        self.aux_loss = 0.0  # of the last forward pass

    def forward(self, x):
        probs = torch.softmax(self.router(x), dim=-1)
        chosen = probs.argmax(dim=-1)
        # load-balancing loss (Switch Transformer): 1.0 when every expert receives the same share of the tokens
        expert_share = F.one_hot(chosen.reshape(-1), probs.size(-1)).float().mean(dim=0)
        mean_prob = probs.reshape(-1, probs.size(-1)).mean(dim=0)
        self.aux_loss = probs.size(-1) * (expert_share * mean_prob).sum()
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
        loss = loss + 0.01 * sum(m.aux_loss for m in model.modules() if isinstance(m, ExpertBank))
        scaler.scale(loss).backward()
        scaler.unscale_(opt)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(opt)
        scaler.update()
