import torch


def hue_saturation(image):
    largest = image.max(-3)[0]
    smallest = image.min(-3)[0]
    value = largest
    chroma = largest - smallest
    saturation = chroma.clone() / value
    chroma = torch.where(chroma == 0, torch.ones_like(chroma), chroma)
    hue = (largest - image[..., 0, :, :]) / chroma
    return torch.stack([hue, saturation, value], dim=-3)
