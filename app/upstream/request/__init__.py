"""From a prompt to the request that a service understands."""
