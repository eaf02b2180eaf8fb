import torch


def contrast(video, text, temperature=None):
    similarity = torch.matmul(video, text.T)
    if temperature is not None:
        similarity /= temperature
    per_video = torch.exp(similarity)
    per_video = torch.softmax(similarity, dim=0)
    per_text = torch.softmax(similarity.T, dim=0)
    return per_video, per_text
