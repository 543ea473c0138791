"""The parts of the web service that `serving.py` puts together; fastapi and uvicorn, never torch.

A request's way: `envelope` (request id, log, metrics) -> `api` -> `requests` (limits, before anything is decoded) ->
`batching` (bounded queue; decode, network, encode in its threads) -> `answers`.  What goes wrong is a `problems`.
"""
