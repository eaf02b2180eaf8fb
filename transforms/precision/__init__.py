"""Mixed precision: what autocast, half precision and the gradient scaler do to a step."""
