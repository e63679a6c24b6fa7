"""Speaking to other organizations' identity providers; nothing here knows a table or a route."""
