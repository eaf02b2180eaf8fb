import torch


def log_det(weight):
    return weight.det().log()
