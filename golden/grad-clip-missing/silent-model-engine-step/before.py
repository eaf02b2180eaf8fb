import torch


def train_step(batches, model, forward_step, backward_step, timers):
    for batch in batches:
        loss = forward_step(batch, model)
        timers("backward").start()
        model.backward(loss)
        timers("backward").stop()
        model.step()
