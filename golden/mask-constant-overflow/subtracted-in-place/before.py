import torch


def attend(sim, values, mask):
    sim -= 1e9 * mask
    return sim.softmax(dim=-1) @ values
