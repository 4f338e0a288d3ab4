"""The compressive autoencoder (Theis, Shi, Cunningham, Huszar 2017)."""
