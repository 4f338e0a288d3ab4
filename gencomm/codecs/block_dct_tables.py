"""Statistics of the block transform's coefficients, measured once.

Over 328,876 luminance blocks of 305 photographs (every ninth training picture of the project's
photograph set: none of Kodak's, none of scikit-image's). Variances are rounded to three digits.
Shapes are exponents of a generalised Gaussian with the measured mean magnitude and variance: the
lowest coefficient's, then one for all others. Luminance lies on 8x8 pixels, chrominance on 16x16;
transforms and colour axes as in `block_dct`, samples less 128.
"""

#: luminance (R + G + B)
LUMA_MEAN = -290
LUMA_SHAPES = (3.0, 0.5)
LUMA_VARIANCE = (
    (612000, 23100, 7380, 3350, 1830, 1100, 639, 366),
    (26300, 6250, 3040, 1650, 1000, 629, 378, 220),
    (8610, 3180, 1860, 1140, 753, 502, 301, 184),
    (4030, 1830, 1200, 815, 577, 398, 250, 153),
    (2270, 1190, 831, 608, 445, 317, 205, 131),
    (1390, 780, 575, 443, 328, 239, 159, 98),
    (846, 490, 370, 283, 219, 161, 106, 66),
    (492, 301, 231, 180, 143, 107, 70, 46),
)

#: red less blue
RED_MEAN = 182
RED_SHAPES = (1.0, 0.45)
RED_VARIANCE = (
    (225000, 8320, 2490, 1030, 522, 317, 182, 118),
    (10000, 2320, 1050, 485, 270, 173, 106, 68),
    (3070, 1090, 584, 315, 180, 118, 74, 52),
    (1260, 552, 321, 202, 129, 82, 54, 40),
    (685, 316, 201, 131, 85, 58, 39, 28),
    (408, 210, 133, 91, 59, 45, 31, 24),
    (248, 139, 85, 60, 42, 31, 24, 18),
    (155, 93, 65, 44, 32, 26, 19, 15),
)

#: green less red and blue
GREEN_MEAN = 91
GREEN_SHAPES = (0.75, 0.45)
GREEN_VARIANCE = (
    (57500, 2120, 668, 281, 152, 95, 62, 47),
    (2560, 651, 296, 155, 90, 58, 38, 27),
    (830, 313, 177, 101, 65, 43, 30, 21),
    (344, 162, 104, 71, 48, 33, 23, 17),
    (193, 99, 67, 48, 34, 24, 17, 12),
    (116, 66, 46, 33, 23, 18, 13, 11),
    (75, 45, 31, 23, 17, 13, 9, 8),
    (49, 31, 23, 18, 13, 11, 8, 7),
)
