import torch


def keypoints(scores, mask, count):
    scores = scores.masked_fill(mask, -1e9)
    return scores.topk(count).indices
