import torch


def f(v, limit):
    length = v.norm()
    if length > limit:
        return v * limit / length
    return v
