import torch


def peak_normalise(waveform):
    peak = waveform.abs().amax(dim=-1, keepdim=True)
    return waveform / peak.clamp_min(torch.finfo(torch.result_type(peak, 1.0)).eps)
