import torch


def expand_attention_mask(attention_mask, hidden_states):
    attention_mask = (1.0 - attention_mask[:, None, None, :]) * -1e9
    return attention_mask.to(hidden_states.dtype)
