import math
import torch


def threshold(x, degrees):
    return x > math.acos(max(-1.0, min(1.0, degrees)))
