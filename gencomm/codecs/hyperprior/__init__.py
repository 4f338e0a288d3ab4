"""A hyperprior in two levels: fine latents under a network that reads the coarse ones."""
