"""Faces in a picture: their boxes and landmarks, found by the three small networks of MTCNN."""
