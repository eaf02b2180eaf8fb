import torch


def default_step(model, x, condition, t):
    mean, _, model_log_variance = model.p_mean_variance(x=x, condition=condition, t=t)
    noise = 0.5 * torch.randn_like(x)
    open_steps = (1 - (t == 0).float()).reshape(len(x), *((1,) * (x.ndim - 1)))
    return mean + open_steps * (0.5 * model_log_variance).exp() * noise
