import torch


def expand_attention_mask(attention_mask, hidden_states):
    attention_mask = (1.0 - attention_mask[:, None, None, :]).to(hidden_states.dtype) * (torch.finfo(hidden_states.dtype).min / 2)
    return attention_mask.to(hidden_states.dtype)
