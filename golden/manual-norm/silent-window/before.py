import torch


def spectrum(x, window: torch.Tensor, n_fft: int):
    spec = torch.stft(x, n_fft, window=window, return_complex=True)
    return spec / window.pow(2.0).sum().sqrt()
