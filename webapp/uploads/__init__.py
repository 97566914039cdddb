"""Uploads: validation, storage, and the samples that ship with the site."""
