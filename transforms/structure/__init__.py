"""How a model is put together: observations, told only when they are asked for."""
