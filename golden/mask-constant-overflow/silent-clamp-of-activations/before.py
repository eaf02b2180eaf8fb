import torch


def feed_forward(hidden_states, norm):
    if hidden_states.dtype == torch.float16:
        hidden_states = hidden_states.clip(-65504, 65504)
    return torch.softmax(norm(hidden_states), dim=-1)
