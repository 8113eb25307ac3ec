"""The app, whose leases in a bucket last `LEASE_S` seconds."""

import os

from app import create_app
from app.store import lease

lease.LEASE_S = float(os.environ["LEASE_S"])
lease.RENEW_S = lease.LEASE_S / 20

app = create_app()
