import torch


def attend(sim, values, mask):
    sim.masked_fill_(mask.bool(), torch.finfo(sim.dtype).min)
    return sim.softmax(dim=-1) @ values
