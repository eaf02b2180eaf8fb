import torch


def orthogonality_loss(assignment: torch.Tensor, clusters: int) -> torch.Tensor:
    gram = assignment.transpose(1, 2) @ assignment
    identity = torch.eye(clusters).type_as(gram)
    return torch.linalg.norm(gram / gram.shape[-1] - identity / torch.norm(identity), dim=(-1, -2)).mean()
