"""How good a picture is; differentiable where a loss needs it."""
