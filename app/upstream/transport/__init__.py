"""One HTTP exchange with a service: addresses, connection, deadline."""
