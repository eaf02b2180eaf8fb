from torch.distributions import Transform


class SineTransform(Transform):
    bijective = True

    def _call(self, x):
        return x.sin()

    def _inverse(self, y):
        return y.clamp(-0.999, 0.999).asin()

    def log_abs_det_jacobian(self, x, y):
        return x.cos().abs().log()
