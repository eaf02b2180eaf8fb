import torch
import torch.nn.functional as F


def policy(output, multi_agent):
    if multi_agent:
        output["logit"][output["action_mask"] == 0.0] = -1e8
    return F.softmax(output["logit"], dim=-1) @ output["value"]
