import torch


def cosine(image_features, text_features):
    image_features = torch.nn.functional.normalize(image_features, dim=1)
    return image_features @ text_features.t()
