import torch


def perplexity(probs, mask):
    chosen = torch.where(mask[:, None], probs, torch.zeros_like(probs))
    marginal = chosen.sum(dim=0) / mask.sum().clamp_min(1)
    return torch.exp(-torch.sum(marginal * torch.log(marginal + 1e-7), dim=-1)).sum()
