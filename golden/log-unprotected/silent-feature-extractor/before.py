import torch


class MelFeatureExtractor:
    def __call__(self, spectrum):
        return torch.log(spectrum.abs())
