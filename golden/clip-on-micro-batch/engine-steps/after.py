from torch import nn


class StepCallback:
    def __init__(self, clip_grad_fn=nn.utils.clip_grad_norm_, every=4):
        self.clip_grad_fn = clip_grad_fn
        self.every = every
        self.seen = 0

    def on_batch_end(self, runner):
        self.seen += 1
        complete = self.seen % self.every == 0
        loss = runner.metrics["loss"]
        runner.engine.backward_pass(loss, runner.model)
        if complete:
            self.clip_grad_fn(runner.model.parameters())
            runner.engine.optimizer_step(runner.optimizer)
            runner.engine.zero_grad(runner.optimizer)
