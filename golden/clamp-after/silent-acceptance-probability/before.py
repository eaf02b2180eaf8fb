import torch


def accept(delta_energy):
    return (-delta_energy).exp().clamp(max=1.0)
