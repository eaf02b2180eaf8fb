import torch


def is_amp(context):
    return isinstance(context, torch.cuda.amp.autocast)  # not torch.autocast(
