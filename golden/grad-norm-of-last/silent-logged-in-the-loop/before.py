import torch


@torch.no_grad()
def log_gradients(model, writer, step):
    norm = 0.0
    for name, p in model.named_parameters():
        norm = p.grad.norm().item() ** 2
        writer.add_scalar(f"gradient/{name}", norm**0.5, step)
    writer.add_scalar("gradient/last", norm**0.5, step)
