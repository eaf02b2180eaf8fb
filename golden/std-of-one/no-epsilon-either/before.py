import torch


def whiten(advantages):
    return (advantages - advantages.mean()) / advantages.std()
