import torch

from .data import load_volume

volume = load_volume("brain.npy").flip(0)
x = volume / volume.max()
spectrum = torch.fft.fft2(x).abs()
