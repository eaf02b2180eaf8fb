import torch


def compress(x):
    return (1 + x.abs()).log()
