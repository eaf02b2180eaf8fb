import torch


def gaussian_density(x, mean, log_std):
    return torch.exp(-0.5 * ((x - mean) / torch.exp(log_std)) ** 2)


def normal_kl(mean1, logvar1, mean2, logvar2):
    return 0.5 * (logvar2 - logvar1 + torch.exp(logvar1 - logvar2) + (mean1 - mean2) ** 2 * torch.exp(-logvar2) - 1)
