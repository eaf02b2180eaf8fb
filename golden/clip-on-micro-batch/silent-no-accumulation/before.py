def train(accelerator, model, optimizer, loader, args):
    """Every batch is a step here; meters.accumulate(loss) is something else."""
    for batch in loader:
        loss = model(**batch).loss
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(model.parameters(), args.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        args.meters.accumulate(loss)
