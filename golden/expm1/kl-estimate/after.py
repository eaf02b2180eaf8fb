import torch


def kl_estimate(logp, ref_logp):
    log_ratio = ref_logp - logp
    return torch.expm1(log_ratio) - log_ratio
