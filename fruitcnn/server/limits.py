"""What a stranger may cost: bytes, seconds, pictures and connections, each per process."""

# Bytes of one request's body: no photograph comes near it.
BODY_BYTES = 32_000_000
# Seconds from the end of a request's head to the end of its body, and from a connection to the end of a head.
BODY_SECONDS, HEAD_SECONDS = 10.0, 10.0
# Bytes of all bodies that are in memory.
HELD_BYTES = 256_000_000
# Pictures of one request; pictures that wait for a thread or have one.
PICTURES, WAITING = 64, 64
# Open connections; asyncio's own limit is the number of files that a process may open, mostly 1,024.
CONNECTIONS = 900
# Seconds and bytes that are read and forgotten of a body that was refused, so that its sender gets to read why.
LINGER_SECONDS, LINGER_BYTES = 2.0, 64_000_000
# Seconds that a connection without requests is kept.
IDLE_SECONDS = 5
# Seconds to finish what is there when the server is told to stop.
FINISH_SECONDS = 30
# What a client that came at a bad time is told to wait, in seconds.
RETRY_AFTER = "1"
