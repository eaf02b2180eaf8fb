import torch


def decay(gate, rate):
    soft = torch.where(gate > 20.0, gate, torch.log(1.0 + torch.exp(gate)))
    return -rate * soft
