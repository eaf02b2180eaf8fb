import torch


def forward(outputs, noise):
    std = outputs["log_std"].clamp(min=-15.0, max=10.0).exp()
    return outputs["mean"] + std * noise
