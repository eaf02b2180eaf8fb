import torch


def train(state, loader, loss_fn):
    for input_ids, y in loader:
        state["optimizer"].zero_grad()
        loss_fn(state["model"](input_ids), y).backward()
        torch.nn.utils.clip_grad_norm_(
            [p for group in state["optimizer"].param_groups for p in group["params"]], max_norm=1.0
        )
        state["optimizer"].step()
