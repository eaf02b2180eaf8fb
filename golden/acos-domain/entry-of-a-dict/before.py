import torch


def tilt_penalty(state: dict[str, torch.Tensor]) -> torch.Tensor:
    tilt = torch.acos(state["upright"])
    return (tilt**2).mean()
