"""One painting from request to renditions, resumable at any evaluation."""
