import torch


def log_power(x):
    return x.abs().log().clamp(min=-20.0)
