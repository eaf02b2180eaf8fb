import torch


def observed_ratio(input_ids, labels, mask_token, ignore_index=-100):
    counted = (labels != ignore_index).sum(-1).clamp_min(1) if labels is not None else input_ids.shape[1]
    return (input_ids == mask_token).sum(-1).float() / counted
