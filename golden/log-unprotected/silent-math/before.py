import math
import torch


def scale(x, n):
    return x * math.log(abs(n))
