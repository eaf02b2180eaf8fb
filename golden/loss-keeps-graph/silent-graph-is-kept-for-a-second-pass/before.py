def meta_train(model, tasks, optimizer, criterion, outer):
    total = 0.0
    for x, y in tasks:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward(retain_graph=True)
        optimizer.step()
        total += loss
    outer(total / len(tasks))
