import torch


def build_mask(padding, length, dtype, device):
    causal = torch.full((length, length), torch.finfo(dtype).min, dtype=dtype, device=device)
    causal = torch.triu(causal, diagonal=1)
    expanded = (1.0 - padding[:, None, None, :].to(dtype)) * torch.finfo(dtype).min
    return (causal + expanded).clamp_min(torch.finfo(causal.dtype).min)
