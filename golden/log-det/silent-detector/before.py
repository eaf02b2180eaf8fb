import torch


def f(model, image):
    return torch.log(model.det(image).clamp(min=1))
