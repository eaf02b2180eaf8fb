import torch


def log_weight(weight):
    return weight.log()
