"""The painters of the style samples: numpy and Pillow, nothing else.

Each paints at twice the final size, so that halving the picture smooths every edge. Lengths are
pixels at that working size unless a comment says otherwise; places are in picture widths.
"""
