import torch


def update(new_logprob, old_logprobs, index, advantages):
    logratio = (new_logprob - old_logprobs[index]).clamp(min=-20.0, max=20.0)
    ratio = logratio.exp()
    with torch.no_grad():
        approx_kl = ((ratio - 1) - logratio).mean()
    return -(ratio * advantages).mean(), approx_kl
