import torch


class Pooled(torch.nn.Module):
    def forward(self, q, k, v, padding):
        scores = q @ k.mT
        scores = scores.masked_fill(padding[:, None, :], torch.finfo(scores.dtype).min)
        hidden = torch.softmax(scores, dim=-1) @ v
        seen = (~padding).unsqueeze(-1).to(hidden.dtype)
        return (hidden * seen).sum(dim=1) / seen.sum(dim=1).clamp_min(1)
