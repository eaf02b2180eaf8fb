import torch


def control(hidden, attention_mask):
    """Bias the attention.

    Args:
        attention_mask: multiplicative self-attention mask. Values in `[0, 1]`, where 1 means full attention, to
            control the attention strength between tokens.
    """
    attention_mask = (1 - attention_mask.to(hidden.dtype)) * -1e9
    return attention_mask
