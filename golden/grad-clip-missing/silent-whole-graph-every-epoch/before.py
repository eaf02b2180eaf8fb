import torch
import torch.nn.functional as F

from project import GCN, load_graph


def train(model, graph, train_idx, optimizer):
    model.train()
    optimizer.zero_grad()
    log_prob = model(graph.x, graph.adj_t)[train_idx].log_softmax(-1)
    loss = F.nll_loss(log_prob, graph.y[train_idx])
    loss.backward()
    optimizer.step()
    return loss.item()


def main(epochs):
    graph, train_idx = load_graph("proteins")
    model = GCN(graph.num_features, 256, 112)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for epoch in range(epochs):
        print(epoch, train(model, graph, train_idx, optimizer))
