import torch


def style(features):
    return features.mean((2, 3)), features.var((2, 3)).sqrt()
