import torch


def finetune(build, loader, loss_fn):
    model = build()
    optimizer = torch.optim.Adam(model.parameters())
    model = model.head
    for input_ids, y in loader:
        optimizer.zero_grad()
        loss_fn(model(input_ids), y).backward()
        torch.nn.utils.clip_grad_norm_(
            [p for group in optimizer.param_groups for p in group["params"]], max_norm=1.0
        )
        optimizer.step()
