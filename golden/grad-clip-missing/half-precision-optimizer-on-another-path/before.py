import torch
from apex.fp16_utils import FP16_Optimizer


def train(model, loader, loss_fn, fp16):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    if fp16:
        optimizer = FP16_Optimizer(optimizer, dynamic_loss_scale=True)
    for input_ids, y in loader:
        loss = loss_fn(model(input_ids), y)
        if fp16:
            optimizer.backward(loss)
        else:
            loss.backward()
        optimizer.step()
        optimizer.zero_grad()
