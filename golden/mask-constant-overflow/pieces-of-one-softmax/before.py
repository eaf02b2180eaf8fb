import torch


def attend(local_scores, global_scores, values, local_mask, global_mask):
    local_scores += (1.0 - local_mask) * -1e9
    global_scores += (1.0 - global_mask) * -1e9
    scores = torch.cat([local_scores, global_scores], dim=-1)
    return torch.softmax(scores, dim=-1) @ values
