import torch


def attend(local_scores, global_scores, values, local_mask, global_mask):
    local_scores.masked_fill_(local_mask == 0, torch.finfo(local_scores.dtype).min)
    global_scores.masked_fill_(global_mask == 0, torch.finfo(global_scores.dtype).min)
    scores = torch.cat([local_scores, global_scores], dim=-1)
    return torch.softmax(scores, dim=-1) @ values
