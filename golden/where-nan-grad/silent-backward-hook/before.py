import torch


def rescale(delta_in, delta_out, grad_input, grad_output, eps=1e-10):
    """The rule of a module's backward hook: grad_input in, grad_input out."""
    return torch.where(abs(delta_in) < eps, grad_input, grad_output * delta_out / delta_in)
