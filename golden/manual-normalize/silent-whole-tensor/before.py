import torch


def f(w):
    return w / w.norm()
