import torch


def cosine(image_features, text_features):
    image_features = image_features / torch.norm(image_features, dim=1, keepdim=True)
    return image_features @ text_features.t()
