import torch


def supervised_step(engine, batch):
    engine.model.train()
    x, y = batch
    engine.optimizer.zero_grad()
    loss = engine.loss(engine.model(x), y)
    loss.backward()
    engine.optimizer.step()
    return loss.item()
