import torch


def supervised_contrastive(anchor_dot_contrast, logits_mask):
    logits_max, _ = torch.max(anchor_dot_contrast, dim=1, keepdim=True)
    logits = anchor_dot_contrast - logits_max.detach()
    exp_logits = torch.exp(logits) * logits_mask
    return logits - torch.log(exp_logits.sum(1, keepdim=True))
