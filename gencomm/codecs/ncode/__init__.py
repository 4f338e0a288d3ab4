"""The code of Santurkar et al. 2017: a generator, frozen, and an encoder into its latent space."""
