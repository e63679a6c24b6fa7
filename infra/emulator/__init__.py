"""An emulated cloud: moto for the services, real workers for the uploaded code."""
