import torch


def tilt_penalty(state: dict[str, torch.Tensor]) -> torch.Tensor:
    eps = torch.finfo(state["upright"].dtype).eps
    tilt = torch.acos(state["upright"].clamp(-1.0 + eps, 1.0 - eps))
    return (tilt**2).mean()
