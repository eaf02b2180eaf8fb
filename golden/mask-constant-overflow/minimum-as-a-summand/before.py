import torch


def span_logits(start_logits, attention_mask, hidden):
    attention_mask = attention_mask.to(start_logits.dtype)
    start_logits = start_logits + (1 - attention_mask) * torch.finfo(start_logits.dtype).min
    return torch.softmax(start_logits, dim=-1) @ hidden
