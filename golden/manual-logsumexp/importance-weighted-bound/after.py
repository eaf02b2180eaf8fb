import math
import torch


def iwae(log_p, log_q):
    log_w = log_p - log_q
    return (torch.logsumexp(log_w, dim=0) - math.log(log_w.size(0))).mean()
