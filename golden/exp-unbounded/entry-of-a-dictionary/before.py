import torch


def forward(outputs, noise):
    std = outputs["log_std"].exp()
    return outputs["mean"] + std * noise
