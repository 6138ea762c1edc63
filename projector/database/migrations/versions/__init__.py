"""One file a revision, NNNN_title.py; the highest number is the revision that the code needs."""
