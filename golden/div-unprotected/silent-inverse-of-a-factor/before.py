import torch


def leave_one_out(covariance, targets):
    factor = torch.linalg.cholesky(covariance)
    eye = torch.eye(factor.size(-1), dtype=factor.dtype, device=factor.device)
    inverse = torch.linalg.solve_triangular(factor, eye, upper=False)
    diagonal = inverse.square().sum(dim=-2)
    solved = torch.cholesky_solve(targets.unsqueeze(-1), factor).squeeze(-1)
    return targets - solved / diagonal
