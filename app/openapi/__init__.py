"""What this server answers, as an OpenAPI document."""
