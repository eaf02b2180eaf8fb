import torch


def forward(outputs, noise):
    std = outputs["log_std"].clamp(min=-20.0, max=2.0).exp()
    return outputs["mean"] + std * noise
