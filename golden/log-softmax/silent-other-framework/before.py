import jax
import jax.numpy as jnp
import torch


def score(logits):
    return jnp.log(jax.nn.softmax(logits, axis=-1)), torch.zeros(1)
