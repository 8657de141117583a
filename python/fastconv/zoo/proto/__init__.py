"""Protocol buffers: the messages that are read, and a look at bytes that needs no package."""
