import math
import torch


def scale(dim, x):
    return x / (math.sqrt(dim) + 1e-6)
