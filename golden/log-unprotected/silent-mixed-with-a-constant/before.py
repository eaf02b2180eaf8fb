import torch


def attention_loss(inputs, advantage):
    prob = inputs["initiator_prob"].reshape(-1)
    prob = 0.9 * prob + 0.05
    return (-advantage * torch.log(prob) - (1 - advantage) * torch.log(1 - prob)).mean()
