import torch

CONTEXTS = {"amp": torch.cuda.amp.autocast, "none": torch.no_grad}


def forward(model, x, mode):
    context = CONTEXTS[mode]
    return model(x), context, "autocast(...)"
