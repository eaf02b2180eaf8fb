import torch


def evidence(log_joint):
    return log_joint.logsumexp(dim=1)
