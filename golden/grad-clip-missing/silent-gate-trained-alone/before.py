import torch
from torch import nn

from project import TopKBalancedNoisyGate, expert_scores


def fit_gate(loader, hidden, num_experts, num_selects):
    """Learn which experts a frozen layer would have used."""
    gate = TopKBalancedNoisyGate(hidden, num_experts, num_selects, gate_network="mlp")
    optimizer = torch.optim.AdamW(gate.parameters(), lr=1e-3)
    criterion = nn.BCEWithLogitsLoss()
    for states, outputs in loader:
        scores = gate(states)["scores"]
        loss = criterion(scores, expert_scores(outputs, num_experts))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
