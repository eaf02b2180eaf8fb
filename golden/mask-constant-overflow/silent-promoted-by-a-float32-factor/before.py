import torch


def attend(scores, values, mask, gamma):
    positions = torch.arange(scores.size(-1), device=scores.device)
    distance = torch.abs(positions[None] - positions[:, None]).type(torch.FloatTensor).to(scores.device)
    effect = torch.clamp((distance * gamma).exp(), min=1e-5)
    scores = scores * effect
    scores.masked_fill_(mask == 0, -1e32)
    return torch.softmax(scores, dim=-1) @ values
