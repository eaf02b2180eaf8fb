def train_step(model, tasks, optimizer, criterion):
    total_loss = 0.0
    for x, y in tasks:
        loss = criterion(model(x), y)
        total_loss += loss
    optimizer.zero_grad()
    total_loss.backward()
    optimizer.step()
    return total_loss.item()
