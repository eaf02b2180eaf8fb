import torch


def decay(gate, rate):
    soft = torch.where(gate > 20.0, gate, torch.nn.functional.softplus(gate))
    return -rate * soft
