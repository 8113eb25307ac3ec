"""From a service's answer to images, whatever its form."""
