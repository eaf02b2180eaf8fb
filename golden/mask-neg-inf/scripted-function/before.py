import torch


@torch.jit.script
def attend(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    scores = scores.masked_fill(mask, float("-inf"))
    return torch.softmax(scores, dim=-1)
