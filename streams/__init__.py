"""The pipeline around `detectors`: archives and streams in, alerts out."""

import os

# Before numpy is imported, which reads it once. Our matrix products are small: threads that wait for one
# another cost more than they bring, most of all beside other processes. Whoever sets it has a say.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
