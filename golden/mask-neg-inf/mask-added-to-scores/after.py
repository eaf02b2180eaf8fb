import torch


class Attention(torch.nn.Module):
    def forward(self, q, k, v, keep):
        bias = torch.zeros_like(keep, dtype=q.dtype)
        bias.masked_fill_(~keep, torch.finfo(bias.dtype).min / 2)
        scores = q @ k.transpose(-2, -1)
        scores = scores + bias
        return scores.softmax(dim=-1) @ v
