"""What the card says of networks and data."""

CARD = """
The code of Santurkar, Budden and Shavit 2017 ("Generative Compression", arXiv 1703.01467) for
aligned faces of 64x64 pixels, in two stages. First a generator learns to make faces of 200
independent numbers, from a game with a discriminator alone. Then, with the generator frozen, an
encoder learns to find numbers from which it makes the picture that is to be sent. 25, 64, 100, 128
or all 200 of them are sent with 4 or 5 bits each, 100 to 1000 bits a picture; the others stay at
their mean. There is no entropy code: each bit pattern is a picture.

The generator begins as the faces' principal components with normal values, and learns to refine
such ghosts; half of those that it practises on are the values of training faces. One discriminator
sees pixels (non-saturating loss with a gradient penalty), others see features of AlexNet.

## Data and terms
23,802 faces of 5,720 persons from CelebA (Liu, Luo, Wang and Tang 2015), reduced to 64x64, none of
them in the validation and test sets. CelebA is for non-commercial research only: use these weights
so, too. No picture can be had from the file; its principal components are statistics of faces.
"""
