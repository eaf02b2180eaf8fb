import torch


def evidence(log_joint):
    return log_joint.exp().sum(1).log()
