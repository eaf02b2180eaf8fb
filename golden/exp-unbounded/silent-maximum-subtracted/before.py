import torch


def weights_of(log_scale):
    log_scale = log_scale - log_scale.max(dim=-1, keepdim=True)[0]
    return log_scale.exp()


def shifted(log_s, shift):
    shift = log_s.detach().amax(dim=-1, keepdim=True)
    shift = shift.clamp(min=torch.finfo(shift.dtype).min)
    return (log_s - shift).exp()
