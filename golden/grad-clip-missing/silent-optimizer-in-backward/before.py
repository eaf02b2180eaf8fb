import torch


def train(model, loader, loss_fn, optimizer_in_bwd):
    optimizers = {p: torch.optim.AdamW([p]) for p in model.parameters()}

    def step_now(p):
        optimizers[p].step()
        optimizers[p].zero_grad()

    optimizer = torch.optim.AdamW(model.parameters())
    for p in model.parameters():
        if optimizer_in_bwd:
            p.register_post_accumulate_grad_hook(step_now)
    for x, y in loader:
        loss_fn(model(x), y).backward()
        if not optimizer_in_bwd:
            optimizer.step()
            optimizer.zero_grad()
