import torch


def contrast(video, text, temperature=None):
    similarity = torch.matmul(video, text.T)
    if temperature is not None:
        similarity /= temperature
    per_video = torch.exp(similarity)
    per_text = per_video.T
    per_video = per_video / torch.sum(per_video, dim=0, keepdims=True)
    per_text = per_text / torch.sum(per_text, dim=0, keepdims=True)
    return per_video, per_text
