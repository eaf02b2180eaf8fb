import torch


def temperature_for(max_value, bound=0.999):
    bound = torch.Tensor([bound])
    return -(1 / max_value) * (torch.log1p(-bound) - torch.log(bound))
